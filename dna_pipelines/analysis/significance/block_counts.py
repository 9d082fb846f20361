"""The counts of a set of images as sums and differences of the DNAs and partials in the lake."""

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
    """A DNA, by its id; or, with a compute key, the partial of a shard."""

    id: str
    compute_key: str | None = None


@dataclass(frozen=True)
class Counts:
    """A sum of stored counts minus others, read on demand. Counts are integers, so subtraction is exact.

    Attributes:
        store: the DNAs and partials.
        plus: what is added.
        minus: what is subtracted.
    """

    store: Fingerprints
    plus: tuple[Stored, ...]
    minus: tuple[Stored, ...] = ()

    def histogram(self) -> U64:
        """(n_neurons, n_bins) counts of all layers."""

        def read(stored: Stored) -> Sequence[U64]:
            histogram = (
                self.store.dna_histogram(stored.id)
                if stored.compute_key is None
                else self.store.partial_histogram(stored.compute_key, stored.id)
            )
            return (histogram.counts,)

        return self._total(read)[0]

    def blocks(self, layer: int | None = None) -> Blocks:
        """The counts by block, of all layers or of one."""

        def read(stored: Stored) -> Sequence[U64]:
            blocks = (
                self.store.dna_blocks(stored.id, layer)
                if stored.compute_key is None
                else self.store.partial_blocks(stored.compute_key, stored.id, layer)
            )
            return blocks.counts, blocks.n_images

        return Blocks(*self._total(read))

    def _total(self, read: Callable[[Stored], Sequence[U64]]) -> list[U64]:
        total = [part.copy() for part in read(self.plus[0])]
        for operation, terms in ((np.add, self.plus[1:]), (np.subtract, self.minus)):
            for term in terms:
                for whole, part in zip(total, read(term), strict=True):
                    operation(whole, part, out=whole)
        return total


def counts_of(project: ProjectFolder, identity: str) -> Counts:
    """The counts of the DNA of that id."""
    return Counts(project.lake.fingerprints, (Stored(identity),))


def counts_of_remainder(
    project: ProjectFolder, remainder: ImageSet, large: ImageSet, small: ImageSet, key: str
) -> Counts | NotTested:
    """The counts of the images that one side has and the other does not; or the reason why they cannot be separated.

    They are the DNA of the one side minus that of the other, if the one contains the other; or the sum of the shards
    that consist of these images; or the DNA of the one side minus the shards that consist of the shared images.

    Args:
        project: the project of the images.
        remainder: `large.without(small)`.
        large, small: two sets of images that have DNAs of the key.
        key: the comparability key.
    """
    store, (whole, part) = project.lake.fingerprints, (Stored(dna_id(key, side.id)) for side in (large, small))
    if large.holds(small) and len(_computed_by(store, whole) | _computed_by(store, part)) == 1:
        return Counts(store, (whole,), (part,))
    remaining = Counter(remainder.items)
    shards = _whole_shards(project, remaining, remainder.commit, key)
    if not remaining:
        return Counts(store, shards)
    n_not_separable, shared = sum(remaining.values()), Counter(large.items) - Counter(remainder.items)
    for side in (small, large):
        remaining = shared.copy()
        shards = _whole_shards(project, remaining, side.commit, key)
        if not remaining and len(_computed_by(store, whole) | {shard.compute_key for shard in shards}) == 1:
            return Counts(store, (whole,), shards)
    return NotTested(
        "significance.counts-not-separable",
        f"both sides share images, and {n_not_separable:,} of the {len(remainder.items):,} images of {remainder.label} "
        "share shards with other images, so their counts cannot be separated; compare parts that do not overlap",
        {"images": remainder.label, "n_images": len(remainder.items), "n_not_separable": n_not_separable},
    )


def _computed_by(store: Fingerprints, dna: Stored) -> set[str | None]:
    """The compute keys of a DNA. A difference is exact only if all its terms have the same one."""
    record = store.dna_record(dna.id)
    return set(record.compute_keys) if record else set()


def _whole_shards(project: ProjectFolder, remaining: Counter[Item], commit: Commit, key: str) -> tuple[Stored, ...]:
    """Partials of shards, of a commit or earlier ones, that consist of `remaining` images, which are removed there."""
    partials: list[Stored] = []
    store, versions = project.lake.fingerprints, project.lake.versions
    of_version = store.dna_record(dna_id(key, commit.version_id))
    compute_key = of_version.compute_keys[0] if of_version else ""
    commits = (earlier for earlier in reversed(versions.history(commit.dataset)) if earlier.seq <= commit.seq)
    for shard in versions.shards_among(commits, {item.digest for item in remaining}):
        items = Counter(shard.items)
        if items <= remaining and (found_key := store.find_partial(key, compute_key, shard.id)):
            remaining -= items
            partials.append(Stored(shard.id, found_key))
        if not remaining:
            break
    return tuple(partials)
