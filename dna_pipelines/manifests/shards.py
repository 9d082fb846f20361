"""Cutting a version into write-once shards, so that an update costs in proportion to the change.

A kept shard never changes; added images go into shards of other datasets that they fill completely, the rest into new
shards; a shard that lost images is replaced by one of the remaining images; small old shards are joined by adding
their partials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dna_pipelines.identity import Item, multiset_id

MAX_SMALL_SHARDS = 8
"""More shards under half the shard size than this are joined."""


@dataclass(frozen=True)
class Shard:
    """A write-once multiset of images: the unit of extraction and of storage.

    `parents` are shards whose partials add up to this one's, so that it needs no image. They are kept with the shard,
    because its own partial may not exist yet when the next version is cut.
    """

    items: tuple[Item, ...]
    parents: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """The hash of the items; the parents are not part of it."""
        return multiset_id(self.items)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.items)


Known = Callable[[Sequence[Item]], Iterable[Shard]]
"""From images to shards, possibly measured already, that may consist only of these images."""


def cut_shards(
    items: Sequence[Item], previous: Sequence[Shard], max_images: int, known: Known | None = None
) -> tuple[Shard, ...]:
    """The shards of a version, given those of the version before.

    Args:
        items: the version, in the order in which new shards are filled (path order keeps
            images together that are likely to be removed together).
        previous: the shards of the version before; oldest first.
        max_images: most images in a shard.
        known: finds shards that added images may fill.
    """
    available = Counter(items)
    kept: list[Shard] = []
    reduced: list[Shard] = []
    for shard in previous:
        wanted = Counter(shard.items)
        remaining = wanted & available
        available -= remaining
        if remaining == wanted:
            kept.append(shard)
        elif remaining:
            reduced.append(Shard(tuple(_take(shard.items, remaining))))
    fresh = list(_take(items, available))
    if not reduced and not fresh and len(kept) == len(previous):
        # The same version: its DNA exists already, so that shards joined now would not get their partials.
        return tuple(previous)
    filled = list(_filled(known(fresh), available, max_images)) if known and fresh else []
    rest = list(_take(fresh, available)) if filled else fresh
    added = (Shard(tuple(rest[start : start + max_images])) for start in range(0, len(rest), max_images))
    return (*_compact(kept, max_images), *reduced, *filled, *added)


def _filled(shards: Iterable[Shard], available: Counter[Item], max_images: int) -> Iterator[Shard]:
    """The shards that the available images fill; those images are then no longer available."""
    for shard in shards:
        wanted = Counter(shard.items)
        if len(shard) <= max_images and wanted <= available:
            available -= wanted
            yield shard


def slice_shards(items: Sequence[Item], shards: Sequence[Shard], max_images: int) -> tuple[Shard, ...]:
    """The shards of a slice: those of its version that lie completely in it, and new ones for the rest.

    The rest is taken in the order of the version's shards, oldest first: images added to the version later
    then change only the last new shard.

    Args:
        items: the slice, a part of what the shards hold.
        shards: of the version.
        max_images: most images in a new shard.
    """
    available = Counter(items)
    whole, cut = [], []
    for shard in shards:
        wanted = Counter(shard.items)
        if wanted <= available:
            available -= wanted
            whole.append(shard)
        else:
            cut.append(shard)
    rest: list[Item] = []
    for shard in cut:
        wanted = Counter(shard.items) & available
        available -= wanted
        rest += _take(shard.items, wanted)
    fresh = (Shard(tuple(rest[start : start + max_images])) for start in range(0, len(rest), max_images))
    return (*whole, *fresh)


def _take(items: Iterable[Item], wanted: Counter[Item]) -> Iterator[Item]:
    """The wanted items, in the order of `items`."""
    remaining = wanted.copy()
    for item in items:
        if remaining[item] > 0:
            remaining[item] -= 1
            yield item


def _compact(shards: list[Shard], max_images: int) -> list[Shard]:
    """Join small shards, once there are too many, into shards of at most `max_images`."""
    small = [shard for shard in shards if len(shard) * 2 <= max_images]
    if len(small) <= MAX_SMALL_SHARDS:
        return shards
    compacted = [shard for shard in shards if len(shard) * 2 > max_images]
    pile: list[Shard] = []
    for shard in small:
        if pile and sum(map(len, pile)) + len(shard) > max_images:
            compacted.append(_join(pile))
            pile = []
        pile.append(shard)
    return [*compacted, _join(pile)]


def _join(pile: list[Shard]) -> Shard:
    if len(pile) == 1:
        return pile[0]
    return Shard(tuple(item for shard in pile for item in shard.items), tuple(shard.id for shard in pile))
