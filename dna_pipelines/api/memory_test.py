"""The significance test of two fingerprints in memory: the design and the numbers are those of a project's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dna_pipelines.analysis.significance.design import sample_untestable
from dna_pipelines.analysis.significance.independence import caveats, sampling_unit
from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.analysis.significance.subsample import sample_of
from dna_pipelines.api.collection import Collection
from dna_pipelines.api.tables import Table
from dna_pipelines.comparison import Selection, Significance, significance, too_coarse, why_untestable
from dna_pipelines.comparison.caveats import Caveat, NotTested
from dna_pipelines.comparison.significance import METHOD
from dna_pipelines.distributions import N_BINS, Blocks
from dna_pipelines.dna import dna_id
from dna_pipelines.identity import Item, multiset_id, stable_hash
from dna_pipelines.manifests import Manifest
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.reference import Reference
from dna_pipelines.storage import Commit

if TYPE_CHECKING:
    from dna_pipelines.api.fingerprints import Fingerprint


class _Listing:
    """The images of a collection, as a set of images reads them."""

    def __init__(self, images: Collection) -> None:
        self.members: tuple[Sequence[Item], Sequence[str]] = images.items, images.names

    @property
    def manifest(self) -> Manifest:
        """A collection has none, and a test asks for none."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class _Side:
    """Images of one side of a test; their counts are measured when they are needed."""

    members: ImageSet
    whole: Fingerprint

    @property
    def id(self) -> str:
        return dna_id(self.whole.dna.key.id, self.members.id)

    def blocks(self, progress: Progress) -> Blocks:
        """The coarse counts of these images; of a part of a fingerprint they are measured again."""
        if self.id == self.whole.dna.id:
            return self.whole.blocks
        chosen = self.members
        empty = Table(("path", "reason", "detail"), ())
        part = Collection(chosen.label, tuple(chosen.items), tuple(chosen.names), empty, self.whole.images.read)
        return self.whole.measuring.measure(part, progress)[1]


def memory_significance(a: Fingerprint, b: Fingerprint, n_permutations: int, progress: Progress) -> SignificanceResult:
    """See `fingerprints.test`."""
    left, right = _side(a), _side(b)
    one, two = left.members, right.members
    if one.digests == two.digests:
        return SignificanceResult(None, same=True, a=one.label, b=two.label, n_shared=len(one.items))
    n_shared = sum((one.digests & two.digests).values())
    pairs, rests = [(left, right)], [""]
    if n_shared:
        # Shared images would hide a difference, so what one has more is tested against the other.
        older, newer = sorted((left, right), key=lambda side: (side.members.dataset, side.members.label))
        both = ((newer, older), (older, newer))
        remainders = [(_Side(large.members.without(small.members), large.whole), small, large) for large, small in both]
        pairs = [(rest, small) for rest, small, _ in remainders if rest.members.items]
        rests = [large.members.label for rest, _, large in remainders if rest.members.items]
    designs = [_finer(*pair, other=n_shared > 0) for pair in pairs]
    n_tests = max(sum(design.not_tested is None for design in designs), 1)
    results = [
        replace(_judged(design, n_tests, n_permutations, progress), remainder_of=rest, n_shared=n_shared)
        for design, rest in zip(designs, rests, strict=True)
    ]
    if len(results) == 1:
        return results[0]
    leads, also = sorted(results, key=lambda result: result.statistics.p_tail if result.statistics else 3.0)
    remarks = {caveat.message: caveat for caveat in (*leads.caveats, *also.caveats)}
    return replace(leads, also=also, caveats=tuple(remarks.values()))


@dataclass(frozen=True, eq=False)
class _Design:
    a: _Side
    b: _Side
    caveats: tuple[Caveat, ...]
    not_tested: NotTested | None
    n_sampled_of: int = 0


def _finer(a: _Side, b: _Side, *, other: bool) -> _Design:
    """The two sides, with a uniform sample of one that is far larger; of shared images where they share any."""
    one, two = a.members, b.members
    design = _Design(a, b, tuple(caveats(one, two)), why_untestable(one.in_blocks, two.in_blocks))
    if not too_coarse(one.in_blocks, two.in_blocks):
        return design
    small, large = sorted((a, b), key=lambda side: len(side.members.items))
    whole = _side(a.whole).members
    pool = large.members.both(whole) if other and large is b else large.members
    sample = _Side(sample_of(pool, len(small.members.items)), large.whole)
    why = why_untestable(sample.members.in_blocks, small.members.in_blocks)
    if design.not_tested and why:
        return replace(design, not_tested=sample_untestable(design.not_tested, why))
    left, right = (sample if side is large else side for side in (a, b))
    return replace(design, a=left, b=right, not_tested=None, n_sampled_of=len(large.members.items))


def _judged(design: _Design, n_tests: int, n_permutations: int, progress: Progress) -> SignificanceResult:
    a, b = design.a.members, design.b.members
    result = SignificanceResult(
        None,
        design.not_tested,
        a=a.label,
        b=b.label,
        n_images_a=len(a.items),
        n_images_b=len(b.items),
        n_sampled_of=design.n_sampled_of,
        sampling_unit=sampling_unit(a, b),
        caveats=design.caveats,
    )
    if design.not_tested:
        return result
    return replace(result, statistics=_permuted(design, n_permutations, progress).corrected(n_tests))


def _permuted(design: _Design, n_permutations: int, progress: Progress) -> Significance:
    # The result does not depend on the order of the sides, and a project gives the same.
    one, two = sorted((design.a, design.b), key=lambda side: side.id)
    layers = one.whole.dna.layers
    selection = Selection.everything(layers)
    counts = [side.blocks(progress).counts for side in (one, two)]

    def load(layer: str) -> tuple[np.ndarray, np.ndarray]:
        part = layers.slice_of(layer)
        return counts[0][part], counts[1][part]

    with progress.task("permuting blocks", int((selection.weights > 0).sum())) as advance:
        return significance(
            selection,
            load,
            one.members.in_blocks,
            two.members.in_blocks,
            n_permutations=n_permutations,
            seed=int(stable_hash(["significance", METHOD, one.id, two.id]), 16),
            n_bins=N_BINS,
            on_neurons=advance,
        )


def _side(whole: Fingerprint) -> _Side:
    # The label first, as datasets of a project are ordered; two collections are never versions of one dataset.
    images = whole.images
    name = f"{whole.label}\0{whole.dna.id}"
    commit = Commit.model_construct(
        dataset=name, seq=0, version_id=multiset_id(images.items), n_images=len(images.items)
    )
    return _Side(ImageSet(whole.label, "version", Reference(name), commit, _Listing(images)), whole)
