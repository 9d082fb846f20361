"""What a significance test permutes: both sides without the images they share, and a sample of a far larger side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dna_pipelines.analysis.significance.block_counts import Counts, counts_of, counts_of_rest
from dna_pipelines.analysis.significance.independence import caveats, sampling_unit
from dna_pipelines.analysis.significance.subsample import sample_of
from dna_pipelines.comparison import too_coarse, why_untestable
from dna_pipelines.comparison.caveats import Caveat, NotTested
from dna_pipelines.dna import dna_id
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.project import ProjectFolder


@dataclass(frozen=True)
class Design:
    """One test.

    Attributes:
        a, b: what is permuted, in the order in which it was asked for; where images are shared, what the one has and
            the other lacks, and the other.
        counts_a, counts_b: of these images.
        sampling_unit: what is taken for independent.
        caveats: why it may not be.
        remainder_of: the set that `a` is the remainder of, where images are shared; else None.
        n_shared: images that both have.
        not_tested: why it cannot be tested; None if it can.
        sample: the side that is a sample, which may not be measured yet; None where both are whole.
        n_sampled_of: the number of images the sample is of; 0 where both are whole.
        coarse: why it takes a sample.
    """

    a: ImageSet
    b: ImageSet
    counts_a: Counts
    counts_b: Counts
    sampling_unit: str
    caveats: tuple[Caveat, ...] = ()
    remainder_of: ImageSet | None = None
    n_shared: int = 0
    not_tested: NotTested | None = None
    sample: ImageSet | None = None
    n_sampled_of: int = 0
    coarse: NotTested | None = None


def designs_of(project: ProjectFolder, a: ImageSet, b: ImageSet, key: str) -> list[Design]:
    """The tests of two different sets of images that have DNAs of a comparability key.

    Shared images would hide a difference, so what the one has and the other lacks is tested against the other: where
    both have images of their own, these are two tests. Nothing is measured or read: a sample is only chosen.
    """
    n_shared = sum((a.digests & b.digests).values())
    if not n_shared:
        counts_a, counts_b = (_counts(project, side, key) for side in (a, b))
        return [_finished(project, Design(a, b, counts_a, counts_b, sampling_unit(a, b)), key)]
    # The order of time, so that the order in which the sides are named makes no difference.
    older, newer = sorted((a, b), key=lambda side: (side.dataset, side.commit.seq, str(side.reference)))
    return [
        replace(_of_remainder(project, rest, large, small, key), remainder_of=large, n_shared=n_shared)
        for large, small in ((newer, older), (older, newer))
        if (rest := large.without(small)).items
    ]


def _of_remainder(project: ProjectFolder, rest: ImageSet, large: ImageSet, small: ImageSet, key: str) -> Design:
    """What one set has more, against the other. A sample is of what both have: the rest may be unreadable."""
    counts, unit = counts_of_rest(project, rest, large, small, key), sampling_unit(rest, small)
    counts_b = _counts(project, small, key)
    if isinstance(counts, NotTested):
        nothing = Counts(project.lake.fingerprints, ())
        return Design(rest, small, nothing, counts_b, unit, not_tested=counts)
    return _finished(project, Design(rest, small, counts, counts_b, unit), key, partial(small.both, large))


def _counts(project: ProjectFolder, images: ImageSet, key: str) -> Counts:
    return counts_of(project, dna_id(key, images.id))


def _finished(
    project: ProjectFolder, design: Design, key: str, sampled: Callable[[], ImageSet] | None = None
) -> Design:
    """With caveats, with the reason why it cannot be tested, or with a sample of a far larger side.

    Args:
        project: where the DNAs are.
        design: of whole sides.
        key: the comparability key.
        sampled: the images of the second side that a sample is to be of; by default all.
    """
    a, b = design.a, design.b
    # Before sampling: a sample of frames in sequence does not look like one.
    design = replace(design, caveats=tuple(caveats(a, b)), not_tested=why_untestable(a.in_blocks, b.in_blocks))
    return _with_sample(project, design, key, sampled) if too_coarse(a.in_blocks, b.in_blocks) else design


def sample_untestable(coarse: NotTested, why: NotTested) -> NotTested:
    """Why neither the whole of a larger side can be tested nor a sample of it."""
    message = f"{coarse}; a sample of it cannot be tested either: {why}"
    return replace(coarse, message=message, facts={**coarse.facts, "sample": why.code})


def _with_sample(project: ProjectFolder, design: Design, key: str, sampled: Callable[[], ImageSet] | None) -> Design:
    """The same with a sample of the larger side, whose blocks are finer."""
    coarse = design.not_tested
    small, large = sorted((design.a, design.b), key=lambda side: len(side.items))
    sample = sample_of(sampled() if sampled and large is design.b else large, len(small.items))
    if coarse and (why := why_untestable(sample.in_blocks, small.in_blocks)):
        return replace(design, not_tested=sample_untestable(coarse, why))
    counts = _counts(project, sample, key)
    changed = {"a": sample, "counts_a": counts} if large is design.a else {"b": sample, "counts_b": counts}
    sides = replace(design, **changed)  # type: ignore[arg-type]
    return replace(sides, not_tested=None, sample=sample, n_sampled_of=len(large.items), coarse=coarse)
