"""What of two sets of images is independent of what, and the reasons why it may not be."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from dna_pipelines.project.image_set import ImageSet

_SERIES = re.compile(r"frame|clip|video|vid_|seq|scene|shot|burst|track|drive|cam", re.IGNORECASE)
_SHORTEST_RUN, _WIDEST_STEP = 5, 10

_MOST_UNEVEN = 1.5
"""How many times as many images a unit of one side may have: about where p begins to be wrong."""


def images_per_unit(images: ImageSet) -> float:
    """On average; copies of an image that has no group are one unit, because they lie in one block."""
    alone = {item.digest for item in images.items if item.group is None}
    return len(images.items) / max(len(images.groups) + len(alone), 1)


def sampling_unit(*sides: ImageSet) -> str:
    """What is taken for independent."""
    units = {_unit(side) for side in sides}
    return units.pop() if len(units) == 1 else "group, or image without one"


def _unit(images: ImageSet) -> str:
    if not images.groups:
        return "image"
    return "group" if all(item.group is not None for item in images.items) else "group, or image without one"


def doubts(a: ImageSet, b: ImageSet) -> list[str]:
    """Reasons why what is taken for independent may not be, or not alike."""
    found = [
        f"{side.label}: likely sequences without a group (numbered frames in the paths). Images of one sequence are "
        "not independent, and any p is then far too small; `group_by` in the datasets file says what belongs together"
        for side in (a, b)
        if not side.groups and looks_like_sequences(side.names)
    ]
    if bool(a.groups) != bool(b.groups):
        with_groups, without = (a, b) if a.groups else (b, a)
        found.append(
            f"{with_groups.label} has groups and {without.label} has none: if images of {without.label} belong "
            "together too, any p is too small"
        )
    found += _uneven(a, b)
    if a.dataset == b.dataset and (shared := a.groups & b.groups):
        found.append(
            f"{len(shared):,} {'group has' if len(shared) == 1 else 'groups have'} images on both sides, which are "
            "then not independent of each other"
        )
    return found


def _uneven(a: ImageSet, b: ImageSet) -> list[str]:
    """Where groups differ in size: blocks are put together until they hold as many images, not as many groups."""
    small, large = sorted((a, b), key=images_per_unit)
    times = images_per_unit(large) / images_per_unit(small)
    if not (a.groups or b.groups) or times <= _MOST_UNEVEN:
        return []
    said = (
        f"a group (or image without one) of {large.label} has {images_per_unit(large):.3g} images on average, one of "
        f"{small.label} {images_per_unit(small):.3g}: so images of the two tell unequally much, and any p may be far "
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
