"""Which shards, groups and metadata values of A carry its distance from B."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from dna_pipelines.analysis.images.attribution import Positions, pooled_shares, positions
from dna_pipelines.analysis.images.contrast import Sides, find_sides
from dna_pipelines.comparison import emd_bins
from dna_pipelines.errors import UnknownName
from dna_pipelines.manifests import ImageRow
from dna_pipelines.project.partials import partial_location
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.slices import GROUP

SHARD = "shard"
"""What stands for the shards, also where the metadata have a column of that name."""


@dataclass(frozen=True)
class Part:
    """Images of A that have something in common.

    Attributes:
        value: what they have in common; None for images that have no value.
        n_images: how many.
        share_of_images: of A's.
        share: of the difference; all of them add up to 1. It is negative where they draw A towards B.
        contribution_bins: to the EMD, of its images on average; None where only averages over positions are known.
        without_bins: the EMD without them; likewise.
    """

    value: str | None
    n_images: int
    share_of_images: float
    share: float
    contribution_bins: float | None = None
    without_bins: float | None = None

    @property
    def times(self) -> float:
        """How much more than its part of the images it carries."""
        return self.share / self.share_of_images


@dataclass(frozen=True, eq=False)
class Parts:
    """All parts, the one that carries most first. `exact`: by positions of all layers, not by averages over them."""

    sides: Sides
    by: str
    emd_bins: float
    beyond_chance_bins: float
    exact: bool
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            **self.sides.to_json(),
            "by": self.by,
            "emd_bins": self.emd_bins,
            "emd_beyond_chance_bins": self.beyond_chance_bins,
            "exact": self.exact,
            "parts": [
                {
                    "value": part.value,
                    "n_images": part.n_images,
                    "share_of_images": part.share_of_images,
                    "share": part.share,
                    "contribution_bins": part.contribution_bins,
                    "emd_bins_without": part.without_bins,
                }
                for part in self.parts
            ],
        }


def carrying_parts(
    project: ProjectFolder, a: str, b: str, by: str, *, extractor: str | None = None, progress: Progress | None = None
) -> Parts:
    """What the images of A carry, summed over those that have something in common.

    Shards are exact, from their partials, and of the whole of A; of two versions, those that both have come out at
    about nothing. Groups and values are sums over their images' averages over positions.

    Args:
        project: where they are.
        a, b: as for `attribute`.
        by: a column of the metadata, `group` or `shard`.
        extractor: one of the project's; its first by default.
        progress: shows the images of slices being extracted.

    Raises:
        NothingToCompare: when a side has no DNA, or A has no image that B has not.
        UnknownName: when there is no such column.
    """
    name = project.extractor_name(extractor)
    sides = find_sides(project, a, b, name, progress, whole=by == SHARD)
    columns = sides.rows_a.columns
    found = positions(sides)
    if by == SHARD:
        parts, exact = _by_shard(project, found), True
    elif by in columns or by == GROUP:
        parts, exact = _by_value(sides, by), False
    else:
        there = ", ".join(dict.fromkeys([*columns, GROUP, SHARD]))
        raise UnknownName(f"the images of {a} have no column '{by}'; there are: {there}")
    ordered = tuple(sorted(parts, key=lambda part: -part.share))
    return Parts(sides, by, found.emd_bins, found.beyond_chance_bins, exact, ordered)


def _by_shard(project: ProjectFolder, found: Positions) -> list[Part]:
    sides = found.sides
    store, rows, parts = project.lake.fingerprints, sides.rows_a, []
    n_of: dict[str, int] = defaultdict(int)
    for shard in rows.shards:
        n_of[shard] += 1
    for shard, n_images in n_of.items():
        counts = store.partial_histogram(partial_location(project, rows.record, shard), shard).counts
        contribution = found.contribution(counts)
        # Copies of images within a dataset may fill the same shard again.
        times = np.uint64(rows.record.shards.count(shard))
        left = sides.counts_a - times * counts if n_images < len(rows) else None
        parts.append(
            Part(
                shard,
                n_images,
                n_images / len(rows),
                found.share(contribution, n_images),
                contribution,
                None if left is None else found.selection.mean(emd_bins(left, sides.counts_b)),
            )
        )
    return parts


def _by_value(sides: Sides, by: str) -> list[Part]:
    shares = np.nan_to_num(pooled_shares(sides))
    places: dict[str | None, list[int]] = defaultdict(list)
    for place, row in enumerate(sides.rows_a.rows):
        places[_value(row, by)].append(place)
    n_images = len(sides.rows_a)
    return [Part(value, len(mine), len(mine) / n_images, float(shares[mine].sum())) for value, mine in places.items()]


def _value(row: ImageRow, by: str) -> str | None:
    metadata = row.metadata or {}
    return row.group if by == GROUP and GROUP not in metadata else metadata.get(by)
