"""From a distance to the images behind it: which images of A contribute most to its distance from B.

The lake has the features of every image (its activations averaged over positions), and these rank all images first. The
images at the top are then extracted again, and ranked by what each of their positions contributes in every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.aliases import with_aliases
from dna_pipelines.analysis.images.contrast import Contrast, find_contrast
from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.influence import of_histogram, of_pooled, potential, significant_bins, unit_counts
from dna_pipelines.comparison.scores import exceeded, nearest
from dna_pipelines.identity import N_BLOCKS, block_of
from dna_pipelines.project.image_bytes import ImageReader, read_all
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

F64 = NDArray[np.float64]

IN_DETAIL = 200
"""The default number of images that are extracted again."""

_BATCH = 64
"""The number of images whose bytes are in memory at the same time."""

FEATURE_BINS = 250
"""The number of bins for features."""

FEATURE_ERRORS = 2.0
"""Standard errors for features: fewer than for positions, because features only choose which images to extract."""

_SAMPLE = 2000
"""The number of images of B that show how far an image of B lies from the others."""


@dataclass(frozen=True)
class ImageContribution:
    """What one image of A contributes to the difference.

    Attributes:
        index: of the image in A's table.
        share: of the difference. The shares of all images add up to 1.
        contribution_bins: to the EMD, a mean over neurons. It is None for an image that is ranked by its features
            only, because the EMD is not that of features.
        conformal_p: the share of B's images that lie at least as far from B's other images; None where it is unknown.
        problem: why the image cannot be read any more.
    """

    index: int
    share: float
    contribution_bins: float | None = None
    conformal_p: float | None = None
    problem: str | None = None

    def facts(self) -> dict[str, Any]:
        """The numbers of the contribution, by name."""
        return {
            "share": self.share,
            "contribution_bins": self.contribution_bins,
            "conformal_p_in_b": self.conformal_p,
            "problem": self.problem,
        }


@dataclass(frozen=True, eq=False)
class Attribution:
    """The images of A that contribute most to its distance from B.

    Attributes:
        contrast: what was compared.
        emd_bins: the EMD of the contrast, a mean over real neurons.
        significant_emd_bins: the part of the EMD where the CDFs differ significantly. Shares are shares of this part,
            or of the whole EMD if it is 0.
        images: the images at the top, the largest share first.
        n_in_detail: the number of images that were extracted again.
        n_without: the number of `images` that were extracted again.
        emd_bins_without: the EMD without these; None if no image remains.
    """

    contrast: Contrast
    emd_bins: float
    significant_emd_bins: float
    images: tuple[ImageContribution, ...]
    n_in_detail: int = 0
    n_without: int = 0
    emd_bins_without: float | None = None

    @property
    def table(self) -> FeatureTable:
        """The images of A that were ranked; `ImageContribution.index` is an index into it."""
        return self.contrast.a

    def rows(self) -> list[dict[str, Any]]:
        """By name, what is known of each image at the top."""
        return [{**self.table.described(image.index), **image.facts()} for image in self.images]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, with the former names of keys."""
        return with_aliases(
            {
                **self.contrast.to_json(),
                "emd_bins": self.emd_bins,
                "significant_emd_bins": self.significant_emd_bins,
                "n_in_detail": self.n_in_detail,
                "n_without": self.n_without,
                "emd_bins_without": self.emd_bins_without,
                "images": [with_aliases(row) for row in self.rows()],
            }
        )


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
    """The images of A that contribute most to its distance from B.

    Args:
        project: the project that has the images.
        a, b: datasets, versions or slices. Of two versions of one dataset, the images of A that B does not have are
            compared with B.
        extractor: one of the project's; its first by default.
        top: the number of images to return.
        in_detail: the number of images to extract again; 0 for none.
        progress: shows the images.

    Raises:
        NothingToCompare: when a set has no DNA, or B has every image of A (`images.none-of-its-own`).
        Incomparable: when the extractor is no longer the one that the DNAs were made with.
    """
    contrast = find_contrast(project, a, b, project.extractor_name(extractor), progress)
    decomposition = decompose(contrast)
    shares = feature_shares(contrast)
    order = np.argsort(-np.nan_to_num(shares, nan=-np.inf), kind="stable")[: max(top, in_detail)]
    contributions = {int(index): ImageContribution(int(index), float(shares[index])) for index in order}
    extraction = _Extraction(project, decomposition) if in_detail else None
    if extraction:
        contributions |= extraction.contributions(list(contributions.values()), progress)
    ranked = sorted(contributions.values(), key=lambda image: -np.nan_to_num(image.share, nan=-np.inf))[:top]
    extracted = [image.index for image in ranked if image.contribution_bins is not None]
    return Attribution(
        contrast,
        decomposition.emd_bins,
        decomposition.significant_emd_bins,
        tuple(_with_conformal_p(contrast, ranked)),
        sum(image.contribution_bins is not None for image in contributions.values()),
        len(extracted),
        extraction.emd_bins_without(extracted) if extraction and extracted else None,
    )


def feature_shares(contrast: Contrast) -> F64:
    """(n_images,) each image's share of the difference, by its features in the stored layers.

    It is NaN for an image whose features are all NaN, and 0 for all images where nothing differs.
    """
    layers = sorted(contrast.a.features.pooled.keys() & contrast.b.features.pooled.keys())
    features_a, features_b = (
        np.concatenate([table.features.pooled[name] for name in layers], axis=1) for table in (contrast.a, contrast.b)
    )
    blocks_a, blocks_b = (
        unit_counts(features, FEATURE_BINS, np.array([block_of(row.item) for row in table.rows]), N_BLOCKS)
        for features, table in ((features_a, contrast.a), (features_b, contrast.b))
    )
    significant = significant_bins(blocks_a, blocks_b, FEATURE_BINS, FEATURE_ERRORS)
    counts = blocks_a.sum(axis=1), blocks_b.sum(axis=1)
    contributions = of_pooled(features_a, potential(*counts, significant if significant.any() else None))
    total = np.nansum(contributions)
    return contributions / total if total > 0 else np.zeros_like(contributions)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The EMD of a contrast as a mean over the positions of A's images.

    Attributes:
        contrast: what is compared.
        selection: the neurons that count.
        potentials: (n_neurons, n_bins) what a position contributes, by its bin; see `comparison.influence`.
        emd_bins, significant_emd_bins: see `Attribution`.
    """

    contrast: Contrast
    selection: Selection
    potentials: F64
    emd_bins: float
    significant_emd_bins: float

    def contribution(self, counts: NDArray[np.integer]) -> float:
        """The mean contribution of images with these counts, in bins."""
        return self.selection.mean(of_histogram(counts, self.potentials))

    def share(self, contribution_bins: float, n_images: int = 1) -> float:
        """The share of the difference of a number of images with this mean contribution."""
        total = (self.significant_emd_bins or self.emd_bins) * self.contrast.n_images_counted
        return n_images * contribution_bins / total if total else 0.0


def decompose(contrast: Contrast) -> Decomposition:
    """The decomposition of the significant part of the EMD, or of the whole EMD if no bin differs significantly."""
    selection, n_bins = Selection.everything(contrast.layers), contrast.counts_a.shape[1]
    significant = significant_bins(contrast.blocks_a, contrast.blocks_b, n_bins)
    significant[selection.weights == 0] = False
    any_significant = bool(significant.any())
    potentials = potential(contrast.counts_a, contrast.counts_b, significant if any_significant else None)
    distance = selection.mean(emd_bins(contrast.counts_a, contrast.counts_b))
    significant_part = selection.mean(of_histogram(contrast.counts_a, potentials)) if any_significant else 0.0
    return Decomposition(contrast, selection, potentials, distance, significant_part)


class _Extraction:
    """Reads images of A and extracts them again, in memory."""

    def __init__(self, project: ProjectFolder, decomposition: Decomposition) -> None:
        # Only what extracts needs torch.
        from dna_pipelines.update.calibration import ready_as
        from dna_pipelines.update.remeasure import partials_of

        table = decomposition.contrast.a
        ready = ready_as(project, decomposition.contrast.extractor, table.record.comparability_key)
        self._decomposition, self._digests = decomposition, table.features.digests
        self._reader = ImageReader(project, table.images.dataset, table.rows)
        self._partials = partial(partials_of, project, ready)

    def contributions(
        self, ranked: Sequence[ImageContribution], progress: Progress | None
    ) -> dict[int, ImageContribution]:
        """By index, what the positions of each image contribute, or why the image cannot be read any more."""
        contributions: dict[int, ImageContribution] = {}
        for start in range(0, len(ranked), _BATCH):
            by_digest: dict[str, list[ImageContribution]] = {}
            for image in ranked[start : start + _BATCH]:
                by_digest.setdefault(self._digests[image.index], []).append(image)
            data, problems = read_all(self._reader, list(by_digest))
            for digest, problem in problems.items():
                contributions |= {image.index: replace(image, problem=problem) for image in by_digest[digest]}
            for (digest,), measured in self._partials([[digest] for digest in data], data, progress):
                value = self._decomposition.contribution(measured.histogram.counts)
                share = self._decomposition.share(value)
                contributions |= {
                    image.index: ImageContribution(image.index, share, value) for image in by_digest[digest]
                }
        return contributions

    def emd_bins_without(self, indices: Sequence[int]) -> float | None:
        """The EMD without some images: exact, because their counts are subtracted. None if no image remains."""
        contrast = self._decomposition.contrast
        if len(indices) >= contrast.n_images_counted:
            return None
        remaining = contrast.counts_a.astype(np.int64)
        for start in range(0, len(indices), _BATCH):
            digests = [self._digests[index] for index in indices[start : start + _BATCH]]
            data, problems = read_all(self._reader, list(dict.fromkeys(digests)))
            if problems:
                return None
            for _, measured in self._partials([digests], data):
                remaining -= measured.histogram.counts.astype(np.int64)
        # On another machine, last bits may put a value into the adjacent bin.
        counts = np.maximum(remaining, 0).astype(np.uint64)
        return self._decomposition.selection.mean(emd_bins(counts, contrast.counts_b))


def _with_conformal_p(contrast: Contrast, images: Sequence[ImageContribution]) -> list[ImageContribution]:
    layers = sorted(contrast.b.features.pooled)
    # The smallest digests are a uniform sample, and the same one every time.
    sample = np.argsort(np.array(contrast.b.features.digests))[:_SAMPLE]
    reference = np.concatenate([contrast.b.features.pooled[name][sample] for name in layers], axis=1)
    if len(reference) < 2 or not images:
        return list(images)
    indices = [image.index for image in images]
    features = np.concatenate([contrast.a.features.pooled[name][indices] for name in layers], axis=1)
    p_values = exceeded(nearest(features, reference), nearest(reference, reference, own=True))
    return [
        replace(image, conformal_p=None if np.isnan(p) else float(p)) for image, p in zip(images, p_values, strict=True)
    ]
