"""The design of a significance test: the sides without shared images, and a sample of a far larger side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dna_pipelines.analysis.significance.independence import caveats, sampling_unit
from dna_pipelines.analysis.significance.measurements import BlockCounts, Measurements
from dna_pipelines.analysis.significance.subsample import sample_of
from dna_pipelines.comparison import too_coarse, why_untestable
from dna_pipelines.comparison.caveats import Caveat, NotTested
from dna_pipelines.project.image_set import ImageSet


@dataclass(frozen=True)
class Design:
    """The design of one test.

    Attributes:
        a, b: the sets whose blocks are permuted, in the order given; where the sides share images, `a` is the remainder
            of the one without the other, and `b` is the other.
        counts_a, counts_b: their counts, which can be read if `not_tested` is None.
        sampling_unit: the unit that the test assumes to be independent.
        caveats: assumptions that may be violated.
        remainder_of: the set that `a` is the remainder of, where the sides share images; else None.
        n_shared: the number of images that both sides have.
        not_tested: the reason why it cannot be tested; None if it can.
        sample: the side that is a sample, which may have no DNA yet; None where both sides are whole.
        n_sampled_of: the number of images that the sample is taken from; 0 where both sides are whole.
        coarse: the reason why it needs a sample.
    """

    a: ImageSet
    b: ImageSet
    counts_a: BlockCounts
    counts_b: BlockCounts
    sampling_unit: str
    caveats: tuple[Caveat, ...] = ()
    remainder_of: ImageSet | None = None
    n_shared: int = 0
    not_tested: NotTested | None = None
    sample: ImageSet | None = None
    n_sampled_of: int = 0
    coarse: NotTested | None = None


def designs_of(measured: Measurements, a: ImageSet, b: ImageSet) -> list[Design]:
    """The tests of two different sets of images.

    Shared images would hide a difference, so the images that only one side has are tested against the other side. Where
    both have images of their own, these are two tests. Nothing is measured or read here: a sample is only chosen.
    """
    n_shared = sum((a.digests & b.digests).values())
    if not n_shared:
        design = Design(a, b, measured.counts(a), measured.counts(b), sampling_unit(a, b))
        return [_finished(measured, design)]
    # Sorted by time, so that the order in which the sides are named has no effect.
    older, newer = sorted((a, b), key=lambda side: (side.dataset, side.commit.seq, str(side.reference)))
    return [
        replace(_of_remainder(measured, remainder, large, small), remainder_of=large, n_shared=n_shared)
        for large, small in ((newer, older), (older, newer))
        if (remainder := large.without(small)).items
    ]


def _of_remainder(measured: Measurements, remainder: ImageSet, large: ImageSet, small: ImageSet) -> Design:
    """The remainder of one set against the other set.

    A sample is taken from the images that both have, because others may no longer be readable.
    """
    counts = measured.counts_of_remainder(remainder, large, small)
    design = Design(
        remainder, small, measured.counts(remainder), measured.counts(small), sampling_unit(remainder, small)
    )
    if isinstance(counts, NotTested):
        return replace(design, not_tested=counts)
    return _finished(measured, replace(design, counts_a=counts), partial(small.both, large))


def _finished(measured: Measurements, design: Design, sampled: Callable[[], ImageSet] | None = None) -> Design:
    """The design with its caveats, and the reason why it cannot be tested or a sample of a far larger side.

    Args:
        measured: the counts.
        design: a design of whole sides.
        sampled: the images of the second side that a sample is taken from; by default all.
    """
    a, b = design.a, design.b
    # Before sampling, because a sample of a sequence does not look like a sequence.
    design = replace(design, caveats=tuple(caveats(a, b)), not_tested=why_untestable(a.in_blocks, b.in_blocks))
    return _with_sample(measured, design, sampled) if too_coarse(a.in_blocks, b.in_blocks) else design


def _with_sample(measured: Measurements, design: Design, sampled: Callable[[], ImageSet] | None) -> Design:
    """The design with a sample of the larger side, whose blocks are finer."""
    coarse = design.not_tested
    small, large = sorted((design.a, design.b), key=lambda side: len(side.items))
    sample = sample_of(sampled() if sampled and large is design.b else large, len(small.items))
    if coarse and (why := why_untestable(sample.in_blocks, small.in_blocks)):
        return replace(design, not_tested=_sample_untestable(coarse, why))
    counts = measured.counts(sample)
    changed = {"a": sample, "counts_a": counts} if large is design.a else {"b": sample, "counts_b": counts}
    sides = replace(design, **changed)  # type: ignore[arg-type]
    return replace(sides, not_tested=None, sample=sample, n_sampled_of=len(large.items), coarse=coarse)


def _sample_untestable(coarse: NotTested, why: NotTested) -> NotTested:
    """The reason why neither all of a larger side nor a sample of it can be tested."""
    message = f"{coarse}; a sample of the larger side cannot be tested either: {why}"
    return replace(coarse, message=message, facts={**coarse.facts, "sample": why.code})
