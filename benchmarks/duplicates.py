"""Copies: how many digests and codes detect, how many other pairs they report, and how fast codes are searched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.measure import Row, alternate, ms
from benchmarks.pictures import Measured, digits, levels, measure, photograph, png, ranges_of, saved
from benchmarks.world import World
from dna_pipelines.analysis.images.duplicates import MOST_BITS, MOST_DISTANCE
from dna_pipelines.comparison.codes import near_pairs
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.identity import digest_of

TILE_PX, N_IMAGES, N_COPIED = 128, 300, 40
N_CODES = 10_000
PHOTOGRAPHS = (
    "astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "hubble_deep_field", "ihc", "retina", "china",
    "flower",
)  # fmt: skip
FEATURELESS = 12.0
"""Tiles whose levels have a smaller standard deviation show nothing: the sky, the black around a retina."""

_FEW = 500
"""The number of codes that numpy searches for; all of them would take minutes."""


def run(_world: World) -> list[Row]:
    rows = []
    for name, images in (("tiles of photographs", _tiles()), ("handwritten digits", digits(N_IMAGES))):
        rows += _copies(name, images)
    return [*rows, *_speed()]


def _tiles() -> list[np.ndarray]:
    tiles = []
    for name in PHOTOGRAPHS:
        photo = photograph(name)
        height, width = photo.shape[:2]
        tiles += [
            photo[top : top + TILE_PX, left : left + TILE_PX]
            for top in range(0, height - TILE_PX + 1, TILE_PX)
            for left in range(0, width - TILE_PX + 1, TILE_PX)
        ]
    np.random.default_rng(0).shuffle(tiles)
    return [tile for tile in tiles if tile.std() > FEATURELESS][:N_IMAGES]


def _copies(name: str, images: list[np.ndarray]) -> list[Row]:
    extractor = load_extractor("seeded_cnn")
    originals = [png(image) for image in images]
    ranges = ranges_of(extractor, originals[:200])
    base = measure(extractor, ranges, originals)
    scale = base.pooled.std(axis=0)
    unrelated = near_pairs(base.signs, None, 8 * base.signs.shape[1])
    distances = _distance(base, base, unrelated.first, unrelated.second, scale)
    n_bits = 8 * base.signs.shape[1]
    near = (unrelated.n_bits <= int(MOST_BITS * n_bits)) & (distances <= MOST_DISTANCE)
    some = np.arange(N_COPIED)
    recall, byte_for_byte = {}, {}
    for kind, copy in COPIES.items():
        copies = [copy(image) for image in images[:N_COPIED]]
        measured = measure(extractor, ranges, copies)
        bits = np.bitwise_count(base.signs[:N_COPIED] ^ measured.signs).sum(axis=1)
        close = _distance(base, measured, some, some, scale) <= MOST_DISTANCE
        recall[kind] = float(((bits <= int(MOST_BITS * n_bits)) & close).mean())
        byte_for_byte[kind] = [digest_of(data) for data in copies] == [digest_of(data) for data in originals[:N_COPIED]]
    quantiles = np.quantile(unrelated.n_bits, [1e-4, 1e-3, 1e-2, 0.5])
    exact = all(same for kind, same in byte_for_byte.items() if kind == "the same bytes")
    easy = [recall[kind] for kind in ("the same bytes", "JPEG 90", "JPEG 50", "75 % of the size")]
    return [
        Row(
            f"{name}: copies that are detected (at most {MOST_BITS:.0%} of {n_bits} bits, distance {MOST_DISTANCE})",
            "; ".join(f"{kind} {value:.2f}" for kind, value in recall.items()),
            "",
            f"{min(easy):.2f}",
            ">= 0.95 (bytes, JPEG 90 and 50, 75 % of the size)",
            min(easy) >= 0.95 and exact,
            f"{N_COPIED} images each, against their originals; equal bytes by their digest",
        ),
        Row(
            f"{name}: pairs of different images that are reported as copies",
            f"{int(near.sum()):,} of {len(near):,}",
            "",
            f"{near.mean():.1e}",
            "",
            None,
            f"bits that differ, of {n_bits}: 0.01 % of the pairs at most {quantiles[0]:.0f}, 0.1 % {quantiles[1]:.0f}, "
            f"1 % {quantiles[2]:.0f}, half {quantiles[3]:.0f}; by bits alone "
            f"{int((unrelated.n_bits <= int(MOST_BITS * n_bits)).sum()):,} pairs",
        ),
    ]


def _distance(a: Measured, b: Measured, first: np.ndarray, second: np.ndarray, scale: np.ndarray) -> np.ndarray:
    differences = (a.pooled[first] - b.pooled[second]) / np.where(scale > 0, scale, 1)
    return np.sqrt((differences**2).mean(axis=1))


def _resized(pixels: np.ndarray, times: float) -> bytes:
    size = [max(8, int(edge * times)) for edge in pixels.shape[1::-1]]
    return png(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)))


def _cropped(pixels: np.ndarray, times: float) -> bytes:
    down, across = (round(edge * (1 - times) / 2) for edge in pixels.shape[:2])
    return png(np.ascontiguousarray(pixels[down : pixels.shape[0] - down, across : pixels.shape[1] - across]))


COPIES: dict[str, Callable[[np.ndarray], bytes]] = {
    "the same bytes": png,
    "JPEG 90": lambda pixels: saved(pixels, "jpeg", quality=90),
    "JPEG 50": lambda pixels: saved(pixels, "jpeg", quality=50),
    "JPEG 20": lambda pixels: saved(pixels, "jpeg", quality=20),
    "75 % of the size": lambda pixels: _resized(pixels, 0.75),
    "50 % of the size": lambda pixels: _resized(pixels, 0.5),
    "cropped to 97 %": lambda pixels: _cropped(pixels, 0.97),
    "cropped to 90 %": lambda pixels: _cropped(pixels, 0.90),
    "5 % brighter": lambda pixels: png(levels(pixels * 1.05)),
    "15 % brighter": lambda pixels: png(levels(pixels * 1.15)),
}


def _speed() -> list[Row]:
    rng, rows = np.random.default_rng(0), []
    for n_bytes in (12, 96):
        a, b = (rng.integers(0, 256, (N_CODES, n_bytes), np.uint8) for _ in range(2))
        words = [side.view(np.uint32) for side in (a, b)]

        def brute(words: list[np.ndarray] = words, most: int = int(MOST_BITS * 8 * n_bytes)) -> None:
            for start in range(0, _FEW, 100):
                some = words[0][start : start + 100, None] ^ words[1][None]
                np.nonzero(np.bitwise_count(some).sum(axis=2) <= most)

        rounds = alternate(3, ours=lambda a=a, b=b: near_pairs(a, b, int(MOST_BITS * 8 * a.shape[1])), numpy=brute)
        ours, peer = rounds.median("ours") / len(a), rounds.median("numpy") / _FEW
        rows.append(
            Row(
                f"codes of {8 * n_bytes} bits, each of {N_CODES:,} against each of {N_CODES:,}; per code",
                f"{ms(ours)} (100,000 against 100,000: {ms(ours * 100_000 / N_CODES * 100_000)})",
                f"{ms(peer)} (numpy `bitwise_count`, block by block, one thread)",
                f"{peer / ours:.1f}x faster",
                note=rounds.spread("numpy", "ours", len(a) / _FEW),
            )
        )
    return rows
