"""Slices: those images of a version whose metadata match."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.identity import Item, multiset_id
from dna_pipelines.manifests import ImageRow, Manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import find_commit
from dna_pipelines.storage import Commit

GROUP = "group"
"""What conditions call the group of an image, unless its metadata have a column of that name."""


_SHOWN = 8


@dataclass(frozen=True)
class Slice:
    """Some images of a version.

    Attributes:
        label: what messages and the record of its DNA call it.
        commit, manifest: of the version.
        rows: its images.
    """

    label: str
    commit: Commit
    manifest: Manifest
    rows: tuple[ImageRow, ...]

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """What the images are to the dataset; copies are several."""
        return tuple(row.item for row in self.rows)

    @cached_property
    def id(self) -> str:
        """The id of the multiset, which may well be that of another slice or of a whole version."""
        return multiset_id(self.items)


def find_slice(project: ProjectFolder, reference: Reference) -> Slice:
    """The images of a version that a reference asks for.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when no image matches; the message lists the most frequent values.
    """
    commit = find_commit(project, reference.whole)
    manifest = project.lake.versions.manifest(commit)
    told = [(row, _told(row)) for row in manifest.readable]
    columns = {name for _, values in told for name in values}
    for condition in reference.where:
        if condition.column not in columns:
            there = ", ".join(sorted(columns)) or "none (add `metadata` to the dataset)"
            name = condition.column
            raise UnknownName(f"the images of {reference.whole} have no column '{name}'; they have: {there}")
    rows = tuple(row for row, values in told if all(one.holds(values) for one in reference.where))
    if not rows:
        raise NothingToCompare(_nobody(reference, [values for _, values in told]))
    return Slice(str(reference), commit, manifest, rows)


def values_of(project: ProjectFolder, reference: Reference) -> dict[str, Counter[str]]:
    """By column of the metadata, how many images of a version or slice have each value.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when no image matches.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in find_slice(project, reference).rows:
        for column, value in _told(row).items():
            found[column][value] += 1
    return dict(found)


def _told(row: ImageRow) -> Mapping[str, str]:
    values = dict(row.metadata or {})
    if row.group is not None:
        values.setdefault(GROUP, row.group)
    return values


def _nobody(reference: Reference, told: list[Mapping[str, str]]) -> str:
    frequent = []
    for column in dict.fromkeys(condition.column for condition in reference.where):
        counted = Counter(values[column] for values in told if column in values)
        shown = ", ".join(f"{value} ({count:,})" for value, count in counted.most_common(_SHOWN))
        more = f" and {len(counted) - _SHOWN:,} more" if len(counted) > _SHOWN else ""
        frequent.append(f"\n  {column}: {shown}{more}")
    what = " and ".join(map(str, reference.where))
    return f"no image of {reference.whole} has {what}. The most frequent values are:{''.join(frequent)}"
