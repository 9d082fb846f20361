"""Pools of images, each measured once and by itself, that samples are drawn from as often as one likes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.eyes import Eye
from benchmarks.protocols.viewed import Viewed
from dna_pipelines.distributions import Binning
from dna_pipelines.extraction.registry import find_network
from dna_pipelines.identity import ID_LENGTH, N_BLOCKS, Item, block_of, digest_of, stable_hash

CHUNK = 128
"""Images that are held in memory with all their activations, and among which neurons are exchanged."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Images in a fixed order.

    Attributes:
        counts: by view, (n_images, n_neurons, COARSE_BINS) uint16.
        pooled: (n_images, n_neurons) the means over positions of the network's own neurons.
        blocks: (n_images,) the statistical block of each, by its digest.
    """

    counts: dict[str, np.ndarray]
    pooled: np.ndarray
    blocks: np.ndarray

    def sample(self, view: str, rows: NDArray[np.integer]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of some images: block counts (n_neurons, N_BLOCKS, COARSE_BINS), images in each block, and their means."""
        blocks, counts = self.blocks[rows], self.counts[view]
        summed = np.zeros((N_BLOCKS, counts[0].size), np.uint32)
        _add(counts.reshape(len(counts), -1), rows, blocks, summed)
        of_neurons = summed.reshape(N_BLOCKS, *counts.shape[1:]).transpose(1, 0, 2).astype(np.uint64, order="C")
        return of_neurons, np.bincount(blocks, minlength=N_BLOCKS).astype(np.uint64), self.pooled[rows]


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
        self._eye = Eye(extractor, find_network(extractor, Path()), calibration)
        binning, layers = self._eye.binning, self._eye.extractor.layers
        own = [Binning(binning.lo[part], binning.hi[part]) for part in layers.slices.values()]
        self._viewed = Viewed(layers.names, self._layers(calibration), views, own)
        self._cache = cache
        self._key = [self._eye.extractor.fingerprint, list(views), _hash(calibration)]

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
                counts = {kind: kept[kind] for kind in self._viewed.kinds}
                return Pool(counts, kept["pooled"], kept["blocks"])
        pool = self._looked(images, exchanged)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, pooled=pool.pooled, blocks=pool.blocks, **pool.counts)
        return pool

    def _looked(self, images: np.ndarray, exchanged: bool) -> Pool:
        rng, pooled = np.random.default_rng(17), []
        counts: dict[str, list[np.ndarray]] = {kind: [] for kind in self._viewed.kinds}
        for start in range(0, len(images), CHUNK):
            layers = self._layers(images[start : start + CHUNK])
            if exchanged:
                layers = [_exchanged(values, rng) for values in layers]
            pooled.append(np.concatenate([values.mean(axis=2) for values in layers], axis=1))
            for kind, found in counts.items():
                found.append(self._viewed.counts(kind, layers))
        blocks = np.array([block_of(Item(digest_of(image.tobytes()))) for image in images])
        return Pool({kind: np.concatenate(found) for kind, found in counts.items()}, np.concatenate(pooled), blocks)

    def _layers(self, images: np.ndarray) -> list[np.ndarray]:
        # A network may say its layers in any order.
        batches = [sorted(batch, key=lambda one: one[0].start) for batch in self._eye.batches(images)]
        return [np.concatenate([values for _, values in parts]) for parts in zip(*batches, strict=True)]


@numba.njit(cache=True)
def _add(counts, rows, blocks, summed):
    for at in range(len(rows)):
        image, block = counts[rows[at]], summed[blocks[at]]
        for k in range(len(image)):
            block[k] += image[k]


def _exchanged(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_images, n_neurons, n_positions), the maps of each neuron in an order of their own."""
    n_images, n_neurons, _ = values.shape
    order = rng.permuted(np.tile(np.arange(n_images)[:, None], n_neurons), axis=0)
    return values[order, np.arange(n_neurons)]


def _hash(images: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes()).hexdigest()[:ID_LENGTH]
