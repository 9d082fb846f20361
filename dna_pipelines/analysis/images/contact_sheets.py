"""Contact sheets of what was found: images that carry a difference beside typical ones, and pairs of duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dna_pipelines.analysis.images.attribution import Attribution
from dna_pipelines.analysis.images.duplicates import Duplicates
from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.errors import DnaError
from dna_pipelines.imaging import decode
from dna_pipelines.project.image_bytes import ImageReader
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.reporting.contact_sheet import Column, Tile, contact_sheet

MOST_TILES = 40
"""Of the top images or pairs; a sheet with more is no longer looked at."""

_ACROSS, _PAIRS_ACROSS = 4, 3


def attribution_sheet(project: ProjectFolder, found: Attribution) -> bytes:
    """The top images of A beside as many typical ones of B, as a PNG."""
    rows, other = found.rows, found.sides.rows_b
    top = found.images[:MOST_TILES]
    notes = [(f"{one.share:.1%} of the difference", f"as odd in B: {_seldom(one.seldom)}") for one in top]
    left = _tiles(project, rows, [one.place for one in top], notes)
    right = _tiles(project, other, typical(other, len(top)))
    return contact_sheet(
        f"{rows.label} against {other.label}: {found.emd_bins:.3g} bins ({found.sides.extractor})",
        [
            Column(f"what carries the difference, of {found.sides.words}", left, _ACROSS),
            Column(f"typical images of {other.label}", right, _ACROSS),
        ],
    )


def duplicates_sheet(project: ProjectFolder, found: Duplicates) -> bytes:
    """Pairs of duplicates side by side, as a PNG."""
    pairs = found.pairs[:MOST_TILES]
    notes = [
        ("the same bytes",) if pair.exact else (f"{pair.n_bits} bits, distance {pair.distance:.2g}",) for pair in pairs
    ]
    left = _tiles(project, found.a, [pair.place_a for pair in pairs], notes)
    right = _tiles(project, found.b, [pair.place_b for pair in pairs])
    tiles = list(zip(left, right, strict=True))
    columns = [tiles[number::_PAIRS_ACROSS] for number in range(min(_PAIRS_ACROSS, len(tiles)))]
    title = f"duplicates within {found.a.label}" if found.within else f"in {found.a.label} and in {found.b.label}"
    return contact_sheet(title, [Column("", [tile for pair in column for tile in pair], 2) for column in columns])


def typical(rows: FeatureTable, n_images: int) -> list[int]:
    """Places of images from the inner half by distance from the mean: neither the most alike nor the most unusual."""
    pooled = np.concatenate([rows.features.pooled[name] for name in sorted(rows.features.pooled)], axis=1)
    values = np.nan_to_num(pooled.astype(np.float64), posinf=0.0, neginf=0.0)
    spread = values.std(axis=0)
    far = (((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) ** 2).sum(axis=1)
    order = np.argsort(far, kind="stable")
    inner = order[len(order) // 4 : max(len(order) // 4 + 1, 3 * len(order) // 4)]
    chosen = np.unique(np.linspace(0, len(inner) - 1, min(n_images, len(inner))).round().astype(int))
    return [int(inner[place]) for place in chosen]


def _tiles(
    project: ProjectFolder, rows: FeatureTable, places: Sequence[int], notes: Sequence[tuple[str, ...]] | None = None
) -> list[Tile]:
    reader = ImageReader(project, rows.images.dataset, rows.rows)
    tiles = []
    for number, place in enumerate(places):
        captions = (rows.rows[place].name, *(notes[number] if notes else ()))
        try:
            tiles.append(Tile(decode(reader.bytes_of(rows.features.digests[place])), captions))
        except DnaError as error:
            tiles.append(Tile(None, captions, str(error)))
    return tiles


def _seldom(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"
