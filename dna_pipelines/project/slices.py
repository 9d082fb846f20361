"""Slices: the images of a version whose metadata match the conditions of a reference."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.manifests import ImageRow
from dna_pipelines.project.reference import Reference

GROUP = "group"
"""The name of an image's group in conditions, unless its metadata have a column of that name."""

_SHOWN = 8
"""The number of values that a message lists."""


def matching_rows(reference: Reference, rows: Sequence[ImageRow]) -> list[int]:
    """The indices of those images of a version for which all conditions of a reference hold.

    Args:
        reference: to a slice.
        rows: the readable images of the version.

    Raises:
        UnknownName: when the images have no such column.
        NothingToCompare: when no image matches; the message lists the most frequent values.
    """
    values = [_values(row) for row in rows]
    columns = {name for row in values for name in row}
    for condition in reference.where:
        if condition.column not in columns:
            known = sorted(columns)
            columns_text = ", ".join(known) or "none (add `metadata` to the dataset)"
            raise UnknownName(
                f"the images of {reference.whole} have no column '{condition.column}'; "
                f"their columns are: {columns_text}",
                code="name.column",
                column=condition.column,
                reference=str(reference.whole),
                known=known,
            )
    indices = [index for index, row in enumerate(values) if all(condition.holds(row) for condition in reference.where)]
    if not indices:
        raise _no_match(reference, values)
    return indices


def metadata_values(rows: Iterable[ImageRow]) -> dict[str, Counter[str]]:
    """The number of images with each value, by column of the metadata."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for column, value in _values(row).items():
            counts[column][value] += 1
    return dict(counts)


def _values(row: ImageRow) -> Mapping[str, str]:
    values = dict(row.metadata or {})
    if row.group is not None:
        values.setdefault(GROUP, row.group)
    return values


def _no_match(reference: Reference, values: list[Mapping[str, str]]) -> NothingToCompare:
    frequent, facts = [], {}
    for column in dict.fromkeys(condition.column for condition in reference.where):
        counts = Counter(row[column] for row in values if column in row)
        facts[column] = dict(counts.most_common(_SHOWN))
        listed = ", ".join(f"{value} ({count:,})" for value, count in facts[column].items())
        more = f" and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
        frequent.append(f"\n  {column}: {listed}{more}")
    conditions = " and ".join(map(str, reference.where))
    return NothingToCompare(
        f"no image of {reference.whole} matches {conditions}. The most frequent values are:{''.join(frequent)}",
        code="compare.no-image-matches",
        reference=str(reference),
        frequent=facts,
    )
