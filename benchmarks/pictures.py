"""Pictures that need no download: crops of scikit-image's and scikit-learn's photographs, drawn ones, and what is
done to them; and how they are measured, each image alone and in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from dna_pipelines.dna import ActivationRanges
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard

EDGE_PX = 96
CORRUPTIONS = ("noise", "dark", "blur", "occlusion", "hue", "inverted")


@cache
def photograph(name: str) -> np.ndarray:
    """One of scikit-image's, or `china` or `flower` of scikit-learn."""
    import skimage
    from sklearn.datasets import load_sample_image

    if name in ("china", "flower"):
        return load_sample_image(f"{name}.jpg")
    path = next((Path(skimage.__file__).parent / "data").glob(f"{name}.*"))
    return np.asarray(Image.open(path).convert("RGB"))


def crops(name: str, n_images: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random squares of a photograph, of several sizes."""
    photo, results = photograph(name), []
    for _ in range(n_images):
        edge = min(int(rng.uniform(0.6, 1.6) * EDGE_PX), *photo.shape[:2])
        top, left = (int(rng.integers(0, size - edge + 1)) for size in photo.shape[:2])
        square = Image.fromarray(photo[top : top + edge, left : left + edge])
        results.append(np.asarray(square.resize((EDGE_PX, EDGE_PX), Image.Resampling.BILINEAR)))
    return results


def blobs(n_images: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Coloured discs on a coloured ground, with a little noise."""
    y, x = np.mgrid[0:EDGE_PX, 0:EDGE_PX] / EDGE_PX
    results = []
    for _ in range(n_images):
        pixels = np.ones((EDGE_PX, EDGE_PX, 3)) * rng.uniform(0, 1, 3)
        for _ in range(rng.integers(3, 9)):
            across, down, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.25)
            pixels[(x - across) ** 2 + (y - down) ** 2 < radius**2] = rng.uniform(0, 1, 3)
        results.append(levels(pixels * 255 + rng.normal(0, 6, pixels.shape)))
    return results


def digits(n_images: int) -> list[np.ndarray]:
    """Scanned handwritten digits."""
    from sklearn.datasets import load_digits

    return [
        np.asarray(Image.fromarray((pixels * 15).astype(np.uint8)).resize((32, 32)).convert("RGB"))
        for pixels in load_digits().images[:n_images]
    ]


def corrupted(pixels: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """One of `CORRUPTIONS`."""
    values = pixels.astype(float)
    if kind == "noise":
        return levels(values + rng.normal(0, 25, values.shape))
    if kind == "dark":
        return levels(values * 0.6)
    if kind == "blur":
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)))
    if kind == "occlusion":
        values[20:60, 20:60] = 127
        return levels(values)
    if kind == "hue":
        return levels(values[..., [1, 2, 0]] * 0.5 + values * 0.5)
    return levels(255 - values)


def levels(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return saved(pixels, "png", compress_level=1)


def saved(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class Measured:
    """Images that were measured each alone, in the order in which they were given."""

    counts: np.ndarray
    """(n_images, n_neurons, n_bins) uint16."""
    pooled: np.ndarray
    """(n_images, n_kept_neurons), of the layers that are kept for images."""
    signs: np.ndarray

    def __getitem__(self, chosen) -> Measured:
        return Measured(self.counts[chosen], self.pooled[chosen], self.signs[chosen])

    def __add__(self, other: Measured) -> Measured:
        pairs = ((self.counts, other.counts), (self.pooled, other.pooled), (self.signs, other.signs))
        return Measured(*(np.concatenate(pair) for pair in pairs))


def ranges_of(extractor: Extractor, images: Sequence[bytes]) -> ActivationRanges:
    data = {digest_of(image): image for image in images}
    return calibrate(extractor, list(data), ("benchmark",), data.__getitem__)


def measure(extractor: Extractor, ranges: ActivationRanges, images: Sequence[bytes]) -> Measured:
    data = {digest_of(image): image for image in images}
    results = {}
    shards = [Shard((Item(digest),)) for digest in data]
    for shard, partial in extract_partials(extractor, ranges, shards, data.__getitem__):
        kept = np.concatenate(list(partial.images.pooled.values()), axis=1)[0]
        counts = np.minimum(partial.histogram.counts, 65535).astype(np.uint16)
        results[shard.items[0].digest] = (counts, kept.astype(np.float32), partial.images.signs[0])
    rows = [results[digest_of(image)] for image in images]
    return Measured(*(np.stack(column) for column in zip(*rows, strict=True)))
