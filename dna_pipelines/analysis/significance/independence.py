"""The sampling unit of a test, and caveats: reasons why units may not be independent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise, takewhile

from dna_pipelines.comparison.caveats import Caveat
from dna_pipelines.project.image_set import ImageSet

_SERIES = re.compile(r"frame|clip|video|vid_|seq|scene|shot|burst|track|drive|cam", re.IGNORECASE)
_SHORTEST_RUN, _WIDEST_STEP = 5, 10

_MOST_UNEVEN = 1.5
"""The largest ratio of images per unit of both sides for which p is about right."""


def images_per_unit(images: ImageSet) -> float:
    """The average number. Copies of an image without a group are one unit, because they lie in one block."""
    alone = {item.digest for item in images.items if item.group is None}
    return len(images.items) / max(len(images.groups) + len(alone), 1)


def sampling_unit(*sides: ImageSet) -> str:
    """The unit that a test of these sides assumes to be independent."""
    units = {_unit(side) for side in sides}
    return units.pop() if len(units) == 1 else "group, or image without one"


def _unit(images: ImageSet) -> str:
    if not images.groups:
        return "image"
    return "group" if all(item.group is not None for item in images.items) else "group, or image without one"


def caveats(a: ImageSet, b: ImageSet) -> list[Caveat]:
    """Reasons why the sampling units may not be independent, or the two sides not exchangeable."""
    remarks = [_sequences(side) for side in (a, b) if not side.groups and looks_like_sequences(side.names)]
    if bool(a.groups) != bool(b.groups):
        with_groups, without = (a, b) if a.groups else (b, a)
        remarks.append(
            Caveat(
                "significance.one-side-without-groups",
                f"{with_groups.label} has groups and {without.label} has none: if images of {without.label} belong "
                "together too, p is too small",
                {"with_groups": with_groups.label, "without_groups": without.label},
            )
        )
    remarks += _unequal(a, b)
    if a.dataset == b.dataset and (shared := a.groups & b.groups):
        has = "group has" if len(shared) == 1 else "groups have"
        remarks.append(
            Caveat(
                "significance.shared-groups",
                f"{len(shared):,} {has} images on both sides, so the sides are not independent",
                {"n_groups": len(shared)},
            )
        )
    return remarks


def _sequences(side: ImageSet) -> Caveat:
    return Caveat(
        "significance.sequences-without-group",
        f"likely sequences: the paths of {side.label} look like numbered frames, but the images have no groups. Images "
        "of one sequence are not independent, so p may be far too small; say which belong together: `group_by` in the "
        "datasets file; in Python, group_by= of files or groups= of objects",
        {"images": side.label},
    )


def _unequal(a: ImageSet, b: ImageSet) -> list[Caveat]:
    """A caveat where groups differ in size: sides are matched by the number of images, not of groups."""
    small, large = sorted((a, b), key=images_per_unit)
    n_small, n_large = images_per_unit(small), images_per_unit(large)
    if not (a.groups or b.groups) or n_large / n_small <= _MOST_UNEVEN:
        return []
    every = max(round(n_large / n_small), 2)
    message = (
        f"a group (or image without one) of {large.label} has {n_large:.3g} images on average, one of {small.label} "
        f"{n_small:.3g}. Their images carry unequal amounts of information, so p may be far too small (or too large, "
        f"if {large.label} is the larger side), and the interval is wrong. Set `every: {every}` for its dataset in "
        f"the datasets file to take fewer images of each group of {large.label}"
    )
    facts = {
        "larger": large.label,
        "smaller": small.label,
        "n_images_per_unit_larger": n_large,
        "n_images_per_unit_smaller": n_small,
        "every": every,
    }
    return [Caveat("significance.unequal-groups", message, facts)]


def looks_like_sequences(names: Iterable[str]) -> bool:
    """Whether most paths end in consecutive numbers after a text with a word such as clip or frame, or with a number.

    Images that are merely numbered, in one folder or in one folder for each class, are not sequences. The folders that
    all absolute paths have in common do not count, so that a list of files is judged like their folder.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    n_names = 0
    for name in _below_common_folder(list(names)):
        n_names += 1
        # The last number, and the text before it.
        if match := re.fullmatch(r"(.*?)([0-9]{1,18})[^0-9]*", name.rpartition(".")[0] or name, re.DOTALL):
            numbers[match[1]].append(int(match[2]))
    series = (sorted(values) for text, values in numbers.items() if re.search("[0-9]", text) or _SERIES.search(text))
    return n_names > 0 and sum(map(_n_in_runs, series)) * 2 > n_names


def _below_common_folder(names: list[str]) -> list[str]:
    """Absolute paths and URIs without the folders that all of them have in common; relative paths as they are."""
    if not names or not all(name.startswith("/") or "://" in name for name in names):
        return names
    folders = [name.split("/")[:-1] for name in names]
    # What the first and the last in order share, all share.
    pairs = zip(min(folders), max(folders), strict=False)
    n_common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return [name.split("/", n_common)[-1] for name in names]


def _n_in_runs(numbers: list[int]) -> int:
    """The number of values that lie in long enough runs of small steps."""
    total, run = 0, 1
    for before, after in pairwise([*numbers, numbers[-1] + _WIDEST_STEP + 1]):
        if after - before <= _WIDEST_STEP:
            run += 1
            continue
        total += run if run >= _SHORTEST_RUN else 0
        run = 1
    return total
