"""The counts of a set of images from what the lake has: DNAs and partials added up, and others taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import dna_id
from dna_pipelines.pipeline.members import Members
from dna_pipelines.pipeline.project import Project
from dna_pipelines.storage.fingerprints import Fingerprints

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Stored:
    """A DNA by its id; or, under a compute key, the partial of a shard."""

    id: str
    compute_key: str | None = None


@dataclass(frozen=True)
class Counts:
    """Sums of what is stored, read when they are asked for. Counts are integers, so taking away is exact.

    Attributes:
        store: where they lie.
        more: what is added up.
        less: what is taken away again.
    """

    store: Fingerprints
    more: tuple[Stored, ...]
    less: tuple[Stored, ...] = ()

    def histogram(self) -> U64:
        """(n_neurons, n_bins), of all layers."""

        def read(one: Stored) -> Sequence[U64]:
            histogram = (
                self.store.dna_histogram(one.id)
                if one.compute_key is None
                else self.store.partial_histogram(one.compute_key, one.id)
            )
            return (histogram.counts,)

        return self._total(read)[0]

    def blocks(self, layer: int | None = None) -> Blocks:
        """The counts by block, of all layers or of one."""

        def read(one: Stored) -> Sequence[U64]:
            blocks = (
                self.store.dna_blocks(one.id, layer)
                if one.compute_key is None
                else self.store.partial_blocks(one.compute_key, one.id, layer)
            )
            return blocks.counts, blocks.n_images

        return Blocks(*self._total(read))

    def _total(self, read: Callable[[Stored], Sequence[U64]]) -> list[U64]:
        total = [part.copy() for part in read(self.more[0])]
        for change, stored in ((np.add, self.more[1:]), (np.subtract, self.less)):
            for one in stored:
                for whole, part in zip(total, read(one), strict=True):
                    change(whole, part, out=whole)
        return total


def counts_of(project: Project, identity: str) -> Counts:
    """Of the images of the DNA of that id."""
    return Counts(project.lake.fingerprints, (Stored(identity),))


def counts_of_rest(project: Project, rest: Members, large: Members, small: Members, key: str) -> Counts | str:
    """Of the images that one side has more than another; or why they are not known apart.

    They are the difference of the two DNAs where the one side holds the other, else the sum of the shards that they
    fill.

    Args:
        project: where they are.
        rest: `large.without(small)`.
        large, small: that have DNAs of the key.
        key: the comparability key.
    """
    if large.holds(small) and _measured_alike(project, (large, small), key):
        whole, part = (Stored(dna_id(key, side.id)) for side in (large, small))
        return Counts(project.lake.fingerprints, (whole,), (part,))
    return _whole_shards(project, rest, key)


def _measured_alike(project: Project, sides: Sequence[Members], key: str) -> bool:
    """Whether DNAs are sums of partials of one and the same compute key, so that their difference is exact."""
    records = [project.lake.fingerprints.dna_record(dna_id(key, side.id)) for side in sides]
    return len({compute for record in records if record for compute in record.compute_keys}) == 1


def _whole_shards(project: Project, rest: Members, key: str) -> Counts | str:
    """Of images that fill whole shards of their dataset, now or earlier; or why they do not."""
    left, found, seen = Counter(rest.items), [], set[str]()
    store, versions = project.lake.fingerprints, project.lake.versions
    of_version = store.dna_record(dna_id(key, rest.commit.version_id))
    compute = of_version.compute_keys[0] if of_version else ""
    for commit in reversed(versions.history(rest.commit.dataset)):
        if commit.seq > rest.commit.seq or not left or seen.issuperset(record.shard_id for record in commit.shards):
            continue
        for shard in versions.manifest(commit).shards:
            held = Counter(shard.items)
            if shard.id not in seen and held <= left and (place := store.find_partial(key, compute, shard.id)):
                left -= held
                found.append(Stored(shard.id, place))
            seen.add(shard.id)
    if left:
        return (
            f"both sides share images, and {sum(left.values()):,} of the {len(rest.items):,} that are in "
            f"{rest.label} lie in shards together with others, so that their counts are not known apart; "
            "compare parts that do not overlap"
        )
    return Counts(store, tuple(found))
