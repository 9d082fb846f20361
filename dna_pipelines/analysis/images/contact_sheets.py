"""Contact sheets: the images that contribute to a difference beside typical ones, and pairs of duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dna_pipelines.analysis.images.attribution import Attribution
from dna_pipelines.analysis.images.duplicates import Duplicates
from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.errors import DnaError
from dna_pipelines.imaging import decode_known
from dna_pipelines.project.image_bytes import ImageReader
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.reporting.contact_sheet import Column, Tile, contact_sheet

MOST_TILES = 40
"""The number of images or pairs on a sheet at most; larger sheets are hard to read."""

_IMAGES_PER_ROW, _PAIRS_PER_ROW = 4, 3


def attribution_sheet(project: ProjectFolder, attribution: Attribution) -> bytes:
    """The images of A that contribute most, beside as many typical images of B, as a PNG."""
    contrast, top = attribution.contrast, attribution.images[:MOST_TILES]
    notes = [
        (f"{image.share:.1%} of the difference", f"as rare in {contrast.b.label}: {_percentage(image.conformal_p)}")
        for image in top
    ]
    left = _tiles(project, contrast.a, [image.index for image in top], notes)
    right = _tiles(project, contrast.b, typical(contrast.b, len(top)))
    return contact_sheet(
        f"{contrast.a.label} against {contrast.b.label}: {attribution.emd_bins:.3g} bins ({contrast.extractor})",
        [
            Column(f"contributions to the difference, {contrast.description}", left, _IMAGES_PER_ROW),
            Column(f"typical images of {contrast.b.label}", right, _IMAGES_PER_ROW),
        ],
    )


def duplicates_sheet(project: ProjectFolder, duplicates: Duplicates) -> bytes:
    """Pairs of duplicates side by side, as a PNG."""
    a, b, pairs = duplicates.a, duplicates.b, duplicates.pairs[:MOST_TILES]
    notes = [
        ("the same bytes",) if pair.exact else (f"{pair.n_bits} bits, distance {pair.distance:.2g}",) for pair in pairs
    ]
    left = _tiles(project, a, [pair.index_a for pair in pairs], notes)
    right = _tiles(project, b, [pair.index_b for pair in pairs])
    tiles = list(zip(left, right, strict=True))
    columns = [tiles[start::_PAIRS_PER_ROW] for start in range(min(_PAIRS_PER_ROW, len(tiles)))]
    title = f"duplicates within {a.label}" if duplicates.within else f"duplicates in {a.label} and {b.label}"
    return contact_sheet(title, [Column("", [tile for pair in column for tile in pair], 2) for column in columns])


def typical(table: FeatureTable, n_images: int) -> list[int]:
    """Indices of images from the middle half by distance from the mean: neither the most usual nor the most unusual."""
    pooled = np.concatenate([table.features.pooled[name] for name in sorted(table.features.pooled)], axis=1)
    values = np.nan_to_num(pooled.astype(np.float64), posinf=0.0, neginf=0.0)
    spread = values.std(axis=0)
    distances = (((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) ** 2).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    middle = order[len(order) // 4 : max(len(order) // 4 + 1, 3 * len(order) // 4)]
    chosen = np.unique(np.linspace(0, len(middle) - 1, min(n_images, len(middle))).round().astype(int))
    return [int(index) for index in middle[chosen]]


def _tiles(
    project: ProjectFolder,
    table: FeatureTable,
    indices: Sequence[int],
    notes: Sequence[tuple[str, ...]] | None = None,
) -> list[Tile]:
    reader = ImageReader(project, table.images.dataset, table.rows)
    tiles = []
    for number, index in enumerate(indices):
        captions = (table.rows[index].name, *(notes[number] if notes else ()))
        try:
            tiles.append(Tile(decode_known(reader.image(table.features.digests[index])), captions))
        except DnaError as error:
            tiles.append(Tile(None, captions, str(error)))
    return tiles


def _percentage(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"
