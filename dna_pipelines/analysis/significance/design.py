"""What a test deals: the images of both sides, less those that they share, and of a far larger side a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dna_pipelines.analysis.significance.block_counts import Counts, counts_of, counts_of_rest
from dna_pipelines.analysis.significance.independence import doubts, sampling_unit
from dna_pipelines.analysis.significance.subsample import sample_of
from dna_pipelines.comparison import too_coarse, why_untestable
from dna_pipelines.dna import dna_id
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.project import ProjectFolder

Sampled = Callable[[], ImageSet]
"""The images of the second side that a sample is to be of."""


@dataclass(frozen=True)
class Side:
    """One side: its images, the id their DNA has or would have, and its counts."""

    members: ImageSet
    dna_id: str
    counts: Counts


@dataclass(frozen=True)
class Tested:
    """Both sides of a test.

    Attributes:
        a, b: what is dealt, in the order in which it was asked for; where images are shared, what the one has more
            and the other.
        rest_of: the label of what `a` is the rest of, where images are shared; else empty.
        n_shared: images that both have.
        unit: what is taken for independent.
        doubts: why it may not be.
        why_not: why it cannot be tested; None if it can.
        sample: the side that is a sample, which may not be measured yet; None where both are whole.
        n_sampled_of: images that it is of; 0 where both are whole.
        coarse: why it took a sample.
    """

    a: Side
    b: Side
    rest_of: str
    n_shared: int
    unit: str
    doubts: tuple[str, ...]
    why_not: str | None
    sample: ImageSet | None = None
    n_sampled_of: int = 0
    coarse: str | None = None


def find_tested(project: ProjectFolder, a: ImageSet, b: ImageSet, key: str) -> list[Tested]:
    """What is tested of two different sets of images that have DNAs of a comparability key.

    Shared images would hide a difference, so what the one has more is tested against the other: where both have more,
    that are two tests. Nothing is measured or read: a sample is only chosen.
    """
    n_shared = sum((a.digests & b.digests).values())
    if not n_shared:
        return [_tested(project, _whole(project, a, key), _whole(project, b, key), key)]
    # What came before what went; and whoever asks in whatever order gets the same answer.
    older, newer = sorted((a, b), key=lambda side: (side.dataset, side.commit.seq, str(side.reference)))
    return [
        replace(_of_rest(project, rest, large, small, key), rest_of=large.label, n_shared=n_shared)
        for large, small in ((newer, older), (older, newer))
        if (rest := large.without(small)).items
    ]


def _of_rest(project: ProjectFolder, rest: ImageSet, large: ImageSet, small: ImageSet, key: str) -> Tested:
    """What one has more against the other; where that takes a sample, one of what both have: the rest may be gone."""
    counts = counts_of_rest(project, rest, large, small, key)
    whole, identity = _whole(project, small, key), dna_id(key, rest.id)
    if not isinstance(counts, str):
        return _tested(project, Side(rest, identity, counts), whole, key, sampled=partial(small.both, large))
    unknown = Side(rest, identity, Counts(project.lake.fingerprints, ()))
    return Tested(unknown, whole, "", 0, sampling_unit(rest, small), (), why_not=counts)


def _tested(project: ProjectFolder, first: Side, second: Side, key: str, sampled: Sampled | None = None) -> Tested:
    a, b = first.members, second.members
    # A sample of frames in sequence would not look like one.
    found = Tested(first, second, "", 0, sampling_unit(a, b), tuple(doubts(a, b)), _why_not(a, b))
    return _finer(project, found, key, sampled) if too_coarse(a.in_blocks, b.in_blocks) else found


def _whole(project: ProjectFolder, members: ImageSet, key: str) -> Side:
    identity = dna_id(key, members.id)
    return Side(members, identity, counts_of(project, identity))


def _finer(project: ProjectFolder, found: Tested, key: str, sampled: Sampled | None) -> Tested:
    """The same with a sample of the larger side, whose blocks are finer."""
    small, large = sorted((found.a.members, found.b.members), key=lambda side: len(side.items))
    sample = sample_of(sampled() if sampled and large is found.b.members else large, len(small.items))
    if why := _why_not(sample, small):
        return replace(found, why_not=f"{found.why_not}; a sample of it does not do either: {why}")
    side, n_images = _whole(project, sample, key), len(large.items)
    a, b = (side if one.members is large else one for one in (found.a, found.b))
    return replace(found, a=a, b=b, why_not=None, sample=sample, n_sampled_of=n_images, coarse=found.why_not)


def _why_not(a: ImageSet, b: ImageSet) -> str | None:
    return why_untestable(a.in_blocks, b.in_blocks)
