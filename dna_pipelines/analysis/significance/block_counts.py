"""The counts of a set of images from what the lake has: DNAs and partials added up, and others taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import dna_id
from dna_pipelines.identity import Item
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit
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


def counts_of(project: ProjectFolder, identity: str) -> Counts:
    """Of the images of the DNA of that id."""
    return Counts(project.lake.fingerprints, (Stored(identity),))


def counts_of_rest(
    project: ProjectFolder, rest: ImageSet, large: ImageSet, small: ImageSet, key: str
) -> Counts | NotTested:
    """Of the images that one side has and another lacks; or why they cannot be separated.

    They are the DNA of the one side less that of the other, which it holds; or the sum of the shards that they fill; or
    the DNA of the one side less the shards that the shared images fill.

    Args:
        project: where they are.
        rest: `large.without(small)`.
        large, small: that have DNAs of the key.
        key: the comparability key.
    """
    store, (whole, part) = project.lake.fingerprints, (Stored(dna_id(key, side.id)) for side in (large, small))
    if large.holds(small) and len(_computed_by(store, whole) | _computed_by(store, part)) == 1:
        return Counts(store, (whole,), (part,))
    wanted = Counter(rest.items)
    filled = _whole_shards(project, wanted, rest.commit, key)
    if not wanted:
        return Counts(store, filled)
    n_left, shared = sum(wanted.values()), Counter(large.items) - Counter(rest.items)
    for side in (small, large):
        stayed = shared.copy()
        filled = _whole_shards(project, stayed, side.commit, key)
        if not stayed and len(_computed_by(store, whole) | {one.compute_key for one in filled}) == 1:
            return Counts(store, (whole,), filled)
    return NotTested(
        "significance.counts-not-separable",
        f"both sides share images, and {n_left:,} of the {len(rest.items):,} images of {rest.label} lie in shards "
        "together with others, so their counts cannot be separated; compare parts that do not overlap",
        {"images": rest.label, "n_images": len(rest.items), "n_not_separable": n_left},
    )


def _computed_by(store: Fingerprints, dna: Stored) -> set[str | None]:
    """The compute keys of a DNA: only where there is one in all is a difference exact."""
    record = store.dna_record(dna.id)
    return set(record.compute_keys) if record else set()


def _whole_shards(project: ProjectFolder, left: Counter[Item], commit: Commit, key: str) -> tuple[Stored, ...]:
    """Shards of a dataset, as it is in a commit or was before, that images fill; those are no longer left then."""
    found: list[Stored] = []
    store, versions = project.lake.fingerprints, project.lake.versions
    of_version = store.dna_record(dna_id(key, commit.version_id))
    compute = of_version.compute_keys[0] if of_version else ""
    commits = (one for one in reversed(versions.history(commit.dataset)) if one.seq <= commit.seq)
    for shard in versions.shards_among(commits, {item.digest for item in left}):
        held = Counter(shard.items)
        if held <= left and (place := store.find_partial(key, compute, shard.id)):
            left -= held
            found.append(Stored(shard.id, place))
        if not left:
            break
    return tuple(found)
