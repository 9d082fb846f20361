"""From a distance to the images behind it: which images of A carry its distance from B.

Images are ranked by their averages over positions first, which the lake has for all of them; the first ones are
extracted once more, and ranked by what each of their positions contributes in every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.contrast import Sides, find_sides
from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.influence import more_than_chance, of_histogram, of_pooled, potential, unit_counts
from dna_pipelines.comparison.scores import exceeded, nearest
from dna_pipelines.identity import N_BLOCKS, block_of
from dna_pipelines.project.image_bytes import ImageReader, read_all
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

F64 = NDArray[np.float64]

IN_DETAIL = 200
"""Images that are extracted once more, unless asked otherwise."""

_AT_ONCE = 64
"""Images whose bytes are in memory together."""

_POOLED_BINS = 250
_POOLED_ERRORS = 2.0
"""Standard errors for averages: fewer than for positions, because they only choose what is looked at in detail."""

_SAMPLE = 2000
"""Images of B that say how far an image of B lies from the others."""


@dataclass(frozen=True)
class Carrier:
    """One image of A.

    Attributes:
        place: in A's rows.
        share: of the difference; those of all images add up to 1.
        contribution_bins: what it contributes to the EMD, a mean over neurons; None where it is known only by its
            averages over positions, which are not the EMD's.
        seldom: the share of B's images that lie at least as far from B's other images; None where it has no number.
        problem: why it could not be read any more.
    """

    place: int
    share: float
    contribution_bins: float | None = None
    seldom: float | None = None
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a difference comes from.

    Attributes:
        sides: what was compared.
        emd_bins: their EMD, a mean over real neurons.
        beyond_chance_bins: the part of it that lies where the CDFs differ by more than chance. Shares are of this
            part; where it is 0, of the whole EMD.
        images: the top ones, the largest share first.
        n_in_detail: images that were extracted once more.
        n_without: how many of the top ones that is.
        without_bins: the EMD without these; None where that leaves no image.
    """

    sides: Sides
    emd_bins: float
    beyond_chance_bins: float
    images: tuple[Carrier, ...]
    n_in_detail: int = 0
    n_without: int = 0
    without_bins: float | None = None

    @property
    def rows(self) -> FeatureTable:
        """The images of A that were ranked."""
        return self.sides.rows_a

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            **self.sides.to_json(),
            "emd_bins": self.emd_bins,
            "emd_beyond_chance_bins": self.beyond_chance_bins,
            "n_in_detail": self.n_in_detail,
            "n_without": self.n_without,
            "emd_bins_without": self.without_bins,
            "images": [{**self.rows.described(one.place), **_facts(one)} for one in self.images],
        }


def attribute(
    project: ProjectFolder,
    a: str,
    b: str,
    *,
    extractor: str | None = None,
    top: int = 20,
    in_detail: int = IN_DETAIL,
    progress: Progress | None = None,
) -> Attribution:
    """The images of A that carry its distance from B.

    Args:
        project: where they are.
        a, b: datasets, versions or slices. Of two versions of one dataset, the images that A has and B has not are
            held against B.
        extractor: one of the project's; its first by default.
        top: how many images to name.
        in_detail: how many to extract once more; 0 for none.
        progress: shows the images.

    Raises:
        NothingToCompare: when a side has no DNA, or A has no image that B has not.
        Incomparable: when the extractor is no longer what the DNAs were made with.
    """
    sides = find_sides(project, a, b, project.extractor_name(extractor), progress)
    shares = pooled_shares(sides)
    order = [int(place) for place in np.argsort(-np.nan_to_num(shares, nan=-np.inf), kind="stable")]
    found = positions(sides)
    carriers = {place: Carrier(place, float(shares[place])) for place in order[: max(top, in_detail)]}
    detail = _Detail(project, found) if in_detail else None
    if detail:
        carriers |= detail.carriers(list(carriers.values()), progress)
    ranked = sorted(carriers.values(), key=lambda one: -np.nan_to_num(one.share, nan=-np.inf))[:top]
    known = [one.place for one in ranked if one.contribution_bins is not None]
    return Attribution(
        sides,
        found.emd_bins,
        found.beyond_chance_bins,
        tuple(_with_seldom(sides, ranked)),
        sum(one.contribution_bins is not None for one in carriers.values()),
        len(known),
        detail.emd_without(known) if detail and known else None,
    )


def pooled_shares(sides: Sides) -> F64:
    """(n_images,) each image's share of the difference, by its averages over positions in the kept layers.

    NaN for an image without a number. Where nothing differs, all are 0.
    """
    kept = sorted(sides.rows_a.features.pooled.keys() & sides.rows_b.features.pooled.keys())
    left, right = (np.concatenate([rows.features.pooled[name] for name in kept], axis=1) for rows in
                   (sides.rows_a, sides.rows_b))  # fmt: skip
    blocks_a, blocks_b = (
        unit_counts(pooled, _POOLED_BINS, np.array([block_of(row.item) for row in rows.rows]), N_BLOCKS)
        for pooled, rows in ((left, sides.rows_a), (right, sides.rows_b))
    )
    counted = more_than_chance(blocks_a, blocks_b, _POOLED_BINS, _POOLED_ERRORS)
    counts = blocks_a.sum(axis=1), blocks_b.sum(axis=1)
    found = of_pooled(left, potential(*counts, counted if counted.any() else None))
    total = np.nansum(found)
    return found / total if total > 0 else np.zeros_like(found)


@dataclass(frozen=True, eq=False)
class Positions:
    """What a position contributes to a difference.

    Attributes:
        sides: what is compared.
        selection: the neurons that count.
        potentials: (n_neurons, n_bins), see `comparison.influence`.
        emd_bins, beyond_chance_bins: see `Attribution`.
    """

    sides: Sides
    selection: Selection
    potentials: F64
    emd_bins: float
    beyond_chance_bins: float

    def contribution(self, counts: NDArray[np.integer]) -> float:
        """Of images with these counts, on average; in bins."""
        return self.selection.mean(of_histogram(counts, self.potentials))

    def share(self, contribution_bins: float, n_images: int = 1) -> float:
        """Of the difference, for that many images."""
        whole = (self.beyond_chance_bins or self.emd_bins) * self.sides.n_counted
        return n_images * contribution_bins / whole if whole else 0.0


def positions(sides: Sides) -> Positions:
    """What a position contributes to the part of a difference that is more than chance (to all of it, if none is)."""
    selection, n_bins = Selection.everything(sides.layers), sides.counts_a.shape[1]
    counted = more_than_chance(sides.blocks_a, sides.blocks_b, n_bins)
    counted[selection.weights == 0] = False
    potentials = potential(sides.counts_a, sides.counts_b, counted if counted.any() else None)
    whole = selection.mean(emd_bins(sides.counts_a, sides.counts_b))
    beyond = selection.mean(of_histogram(sides.counts_a, potentials)) if counted.any() else 0.0
    return Positions(sides, selection, potentials, whole, beyond)


class _Detail:
    """Images of A that are read and extracted once more."""

    def __init__(self, project: ProjectFolder, found: Positions) -> None:
        # Only what extracts needs torch.
        from dna_pipelines.update.calibration import ready_as
        from dna_pipelines.update.remeasure import partials_of

        rows = found.sides.rows_a
        ready = ready_as(project, found.sides.extractor, rows.record.comparability_key)
        self._found, self._digests = found, rows.features.digests
        self._reader = ImageReader(project, rows.images.dataset, rows.rows)
        self._partials = partial(partials_of, project, ready)

    def carriers(self, known: Sequence[Carrier], progress: Progress | None) -> dict[int, Carrier]:
        """What the images' positions say, and of those that cannot be read any more the reason."""
        carriers: dict[int, Carrier] = {}
        for start in range(0, len(known), _AT_ONCE):
            by_digest: dict[str, list[Carrier]] = {}
            for one in known[start : start + _AT_ONCE]:
                by_digest.setdefault(self._digests[one.place], []).append(one)
            data, problems = read_all(self._reader, list(by_digest))
            for digest, problem in problems.items():
                carriers |= {one.place: replace(one, problem=problem) for one in by_digest[digest]}
            for (digest,), measured in self._partials([[one] for one in data], data, progress):
                contribution = self._found.contribution(measured.histogram.counts)
                share = self._found.share(contribution)
                carriers |= {one.place: Carrier(one.place, share, contribution) for one in by_digest[digest]}
        return carriers

    def emd_without(self, places: Sequence[int]) -> float | None:
        """The EMD without some images; exact, because their counts are taken away. None where none are left."""
        sides = self._found.sides
        left = sides.counts_a.astype(np.int64)
        for start in range(0, len(places), _AT_ONCE):
            digests = [self._digests[place] for place in places[start : start + _AT_ONCE]]
            data, problems = read_all(self._reader, list(dict.fromkeys(digests)))
            if problems:
                return None
            for _, measured in self._partials([digests], data):
                left -= measured.histogram.counts.astype(np.int64)
        if not left.any():
            return None
        # Another machine's last bits may put a value into the bin beside.
        return self._found.selection.mean(emd_bins(np.maximum(left, 0).astype(np.uint64), sides.counts_b))


def _with_seldom(sides: Sides, carriers: Sequence[Carrier]) -> list[Carrier]:
    """With how seldom an image of B is as far from the others of B."""
    names = sorted(sides.rows_b.features.pooled)
    # The smallest digests are a uniform sample, and the same one every time.
    sample = np.argsort(np.array(sides.rows_b.features.digests))[:_SAMPLE]
    reference = np.concatenate([sides.rows_b.features.pooled[name][sample] for name in names], axis=1)
    if len(reference) < 2 or not carriers:
        return list(carriers)
    chosen = [one.place for one in carriers]
    rows = np.concatenate([sides.rows_a.features.pooled[name][chosen] for name in names], axis=1)
    shares = exceeded(nearest(rows, reference), nearest(reference, reference, own=True))
    return [
        replace(one, seldom=None if np.isnan(share) else float(share))
        for one, share in zip(carriers, shares, strict=True)
    ]


def _facts(one: Carrier) -> dict[str, Any]:
    return {
        "share": one.share,
        "contribution_bins": one.contribution_bins,
        "seldom_in_b": one.seldom,
        "problem": one.problem,
    }
