"""The images of a dataset, version or slice, and what of them is independent of what."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import NothingToCompare
from dna_pipelines.identity import N_BLOCKS, Item, block_of, lot_of, multiset_id
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import find_commit
from dna_pipelines.project.slices import find_slice
from dna_pipelines.storage import Commit

_SERIES = re.compile(r"frame|clip|video|vid_|seq|scene|shot|burst|track|drive|cam", re.IGNORECASE)
_SHORTEST_RUN, _WIDEST_STEP = 5, 10

_MOST_UNEVEN = 1.5
"""How many times as many images a unit of one side may have: about where p begins to be wrong."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Members:
    """The images of one side of a comparison.

    Attributes:
        label: what people called it.
        commit: of the version it is, or is cut from.
        items: its images; copies are several.
        names: their paths, in the same order.
    """

    label: str
    commit: Commit
    items: Sequence[Item]
    names: Sequence[str]

    @cached_property
    def id(self) -> str:
        """Of the multiset."""
        return multiset_id(self.items)

    @cached_property
    def digests(self) -> Counter[str]:
        """How often each image is there, whatever its group."""
        return Counter(item.digest for item in self.items)

    @cached_property
    def groups(self) -> set[str]:
        """The groups there are."""
        return {item.group for item in self.items if item.group is not None}

    @cached_property
    def in_blocks(self) -> NDArray[np.uint64]:
        """(N_BLOCKS,) images in each statistical block: those that the blocks of their DNA have."""
        blocks = np.fromiter(map(block_of, self.items), np.int64, len(self.items))
        return np.bincount(blocks, minlength=N_BLOCKS).astype(np.uint64)

    @cached_property
    def lots(self) -> NDArray[np.float64]:
        """(n_images,) see `lot_of`."""
        return np.fromiter(map(lot_of, self.items), np.float64, len(self.items))

    @cached_property
    def like_sequences(self) -> bool:
        """See `looks_like_sequences`."""
        return looks_like_sequences(self.names)

    @cached_property
    def images_per_unit(self) -> float:
        """On average; copies of an image that has no group are one unit, as they lie in one block."""
        alone = {item.digest for item in self.items if item.group is None}
        return len(self.items) / max(len(self.groups) + len(alone), 1)

    @property
    def unit(self) -> str:
        """What is taken for independent."""
        if not self.groups:
            return "image"
        return "group" if all(item.group is not None for item in self.items) else "group, or image without one"

    def holds(self, other: Members) -> bool:
        """Whether all images of another are here, in the same groups."""
        return Counter(other.items) <= Counter(self.items)

    def lacking(self, other: Members) -> list[int]:
        """The places of the images that another does not have, whatever their groups there.

        Of copies those of the same group are matched first: they lie in the same blocks.
        """
        left = Counter(other.items)
        others = [place for place, item in enumerate(self.items) if not _taken(left, item)]
        elsewhere = Counter(item.digest for item in left.elements())
        return [place for place in others if not _taken(elsewhere, self.items[place].digest)]

    def take(self, places: Iterable[int], label: str) -> Members:
        """Some of the images, in the order asked for."""
        chosen = list(places)
        items, names = [self.items[place] for place in chosen], [self.names[place] for place in chosen]
        return Members(label, self.commit, items, names)

    def both(self, other: Members) -> Members:
        """The images that another has too."""
        lacking = set(self.lacking(other))
        return self.take((place for place in range(len(self.items)) if place not in lacking), self.label)

    def without(self, other: Members) -> Members:
        """The images that another does not have."""
        return self.take(self.lacking(other), f"{self.label} without {other.label}")


def _taken(left: Counter[T], one: T) -> bool:
    """Whether there was one left, which there is then no longer."""
    if left[one] <= 0:
        return False
    left[one] -= 1
    return True


def find_members(project: ProjectFolder, reference: str) -> Members:
    """The images that a reference names.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when no image matches.
    """
    named = Reference.parse(reference)
    if named.where:
        found = find_slice(project, named)
        return Members(reference, found.commit, found.items, [row.name for row in found.rows])
    commit = find_commit(project, named)
    items, names = project.lake.versions.members(commit)
    if not items:
        raise NothingToCompare(f"{reference} is empty: it has no readable image")
    return Members(reference, commit, items, names)


def doubts(a: Members, b: Members) -> list[str]:
    """Reasons why what is taken for independent may not be, or not alike."""
    found = [
        f"{side.label}: likely sequences without a group (numbered frames in the paths). Images of one sequence are "
        "not independent, and any p is then far too small; `group_by` in the datasets file says what belongs together"
        for side in (a, b)
        if not side.groups and side.like_sequences
    ]
    if bool(a.groups) != bool(b.groups):
        with_groups, without = (a, b) if a.groups else (b, a)
        found.append(
            f"{with_groups.label} has groups and {without.label} has none: if images of {without.label} belong "
            "together too, any p is too small"
        )
    found += _uneven(a, b)
    if a.commit.dataset == b.commit.dataset and (shared := a.groups & b.groups):
        found.append(
            f"{len(shared):,} {'group has' if len(shared) == 1 else 'groups have'} images on both sides, which are "
            "then not independent of each other"
        )
    return found


def _uneven(a: Members, b: Members) -> list[str]:
    """Where groups differ in size: blocks are put together until they hold as many images, not as many groups."""
    small, large = sorted((a, b), key=lambda side: side.images_per_unit)
    times = large.images_per_unit / small.images_per_unit
    if not (a.groups or b.groups) or times <= _MOST_UNEVEN:
        return []
    said = (
        f"a group (or image without one) of {large.label} has {large.images_per_unit:.3g} images on average, one of "
        f"{small.label} {small.images_per_unit:.3g}: so images of the two tell unequally much, and any p may be far "
        f"too small (too large, where {large.label} is the larger side), and the interval is off. `every: "
        f"{max(round(times), 2)}` for its dataset in the datasets file takes fewer images of each group of "
        f"{large.label}, which makes them more alike"
    )
    return [said]


def looks_like_sequences(names: Iterable[str]) -> bool:
    """Whether most paths end in running numbers after a text that says clip, frame, … or has a number of its own.

    Images that are merely numbered, in one folder or in one for each class, do not look so.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    n_names = 0
    for name in names:
        n_names += 1
        # The last number, and what comes before it.
        if found := re.fullmatch(r"(.*?)([0-9]{1,18})[^0-9]*", name.rpartition(".")[0] or name, re.DOTALL):
            numbers[found[1]].append(int(found[2]))
    series = (sorted(some) for text, some in numbers.items() if re.search("[0-9]", text) or _SERIES.search(text))
    return n_names > 0 and sum(map(_n_in_runs, series)) * 2 > n_names


def _n_in_runs(numbers: list[int]) -> int:
    """How many numbers follow each other closely, in runs that are long enough."""
    total, run = 0, 1
    for before, after in pairwise([*numbers, numbers[-1] + _WIDEST_STEP + 1]):
        if after - before <= _WIDEST_STEP:
            run += 1
            continue
        total += run if run >= _SHORTEST_RUN else 0
        run = 1
    return total
