"""Pools of images, each measured once and by itself, that samples are drawn from as often as one likes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocols.seen import Seen, Sight
from dna_pipelines.identity import ID_LENGTH, Item, block_of, digest_of, stable_hash

CHUNK = 128
"""Images that are held in memory with all their activations, and among which neurons are exchanged."""


@dataclass(frozen=True, eq=False)
class Pool(Seen):
    """Images in a fixed order.

    Attributes:
        blocks: (n_images,) the statistical block of each, by its digest.
    """

    blocks: np.ndarray

    def sample(self, view: str, rows: NDArray[np.integer]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of some images: block counts (n_neurons, N_BLOCKS, COARSE_BINS), images in each block, and their means."""
        return *self.in_blocks(self.blocks[rows], rows, view), self.pooled[rows]


class Looker:
    """An extractor and its views, with everything fixed on calibration images.

    Args:
        extractor: a network by name.
        calibration: (n, px, px, 3) levels; of more than `CHUNK` images, the first ones.
        views: linear ones.
        cache: a folder for what was measured.
    """

    def __init__(
        self, extractor: str, calibration: np.ndarray, views: Sequence[str] = (), cache: Path | None = None
    ) -> None:
        calibration = calibration[:CHUNK]
        self._sight = Sight(extractor, calibration, views)
        self._cache = cache
        self._key = [self._sight.extractor.fingerprint, list(views), _hash(calibration)]

    def look(self, images: np.ndarray, *, exchanged: bool = False) -> Pool:
        """What it sees in (n, px, px, 3) levels.

        Args:
            images: what to look at.
            exchanged: every neuron's maps are exchanged between the images of a chunk, each neuron's by themselves:
                no neuron's values change, and nothing is left of how neurons go together.
        """
        key = stable_hash([*self._key, _hash(images), exchanged])
        path = self._cache / f"{key}.npz" if self._cache else None
        if path and path.exists():
            with np.load(path) as kept:
                stored = dict(kept)
                return Pool(pooled=stored.pop("pooled"), blocks=stored.pop("blocks"), counts=stored)
        pool = self._looked(images, exchanged)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, pooled=pool.pooled, blocks=pool.blocks, **pool.counts)
        return pool

    def _looked(self, images: np.ndarray, exchanged: bool) -> Pool:
        rng, parts = np.random.default_rng(17), []
        for start in range(0, len(images), CHUNK):
            layers = self._sight.activations(images[start : start + CHUNK])
            if exchanged:
                layers = [_exchanged(values, rng) for values in layers]
            parts.append(self._sight.seen(layers))
        seen = Seen.joined(parts)
        blocks = np.array([block_of(Item(digest_of(image.tobytes()))) for image in images])
        return Pool(seen.counts, seen.pooled, blocks)


def _exchanged(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_images, n_neurons, n_positions), the maps of each neuron in an order of their own."""
    n_images, n_neurons, _ = values.shape
    order = rng.permuted(np.tile(np.arange(n_images)[:, None], n_neurons), axis=0)
    return values[order, np.arange(n_neurons)]


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()[:ID_LENGTH]
