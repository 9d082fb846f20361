"""Images as an extractor and its views see them, each once, alone and in memory: coarse counts, and means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.eyes import Eye
from benchmarks.protocols.textures import counts_of_images
from benchmarks.protocols.viewed import NEURONS, Viewed
from dna_pipelines.distributions import Binning, ImageFeatures
from dna_pipelines.extraction.loading.registry import find_network
from dna_pipelines.extraction.views.view_layers import ViewLayers
from dna_pipelines.identity import N_BLOCKS

Images = np.ndarray | Sequence[np.ndarray]
"""Of uint8 pixels, (edge, edge, 3) each."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Images in the order in which they were given.

    Attributes:
        counts: by view, (n_images, n_neurons, COARSE_BINS) uint16; the network's own are `NEURONS`.
        pooled: (n_images, n_neurons) the means over positions of the network's own neurons.
    """

    counts: dict[str, np.ndarray]
    pooled: np.ndarray

    @staticmethod
    def through(viewed: Viewed, layers: list[np.ndarray]) -> Seen:
        """From the activations of every layer, (n_images, n_neurons, n_positions)."""
        by_kind = {kind: viewed.measured(kind, layers) for kind in viewed.kinds}
        return Seen({kind: counts for kind, (counts, _) in by_kind.items()}, by_kind[NEURONS][1].astype(np.float32))

    @staticmethod
    def joined(parts: Iterable[Seen]) -> Seen:
        """One after the other."""
        parts = list(parts)
        counts = {view: np.concatenate([part.counts[view] for part in parts]) for view in parts[0].counts}
        return Seen(counts, np.concatenate([part.pooled for part in parts]))

    def __getitem__(self, chosen) -> Seen:
        return Seen({view: counts[chosen] for view, counts in self.counts.items()}, self.pooled[chosen])

    def whole(self, view: str = NEURONS) -> np.ndarray:
        """The counts of all images together, (n_neurons, COARSE_BINS) uint64."""
        return self.counts[view].sum(axis=0, dtype=np.uint64)

    def in_blocks(
        self, blocks: NDArray[np.integer], rows: NDArray[np.integer] | None = None, view: str = NEURONS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts of blocks (n_neurons, N_BLOCKS, COARSE_BINS) and the images in each, both uint64.

        Args:
            blocks: which block every row goes to.
            rows: some images, as often as they are to count; by default each once.
            view: whose neurons.
        """
        counts, rows = self.counts[view], np.arange(len(self.pooled)) if rows is None else rows
        summed = np.zeros((N_BLOCKS, counts[0].size), np.uint32)
        _add(counts.reshape(len(counts), -1), rows, blocks, summed)
        of_neurons = summed.reshape(N_BLOCKS, *counts.shape[1:]).transpose(1, 0, 2).astype(np.uint64, order="C")
        return of_neurons, np.bincount(blocks, minlength=N_BLOCKS).astype(np.uint64)

    def summed(self, times: np.ndarray) -> np.ndarray:
        """The counts of samples, (n_samples, n_neurons, COARSE_BINS) uint64.

        Args:
            times: (n_samples, n_images) how often each sample has each image.
        """
        # Sums of counts stay below 2**53, where float64 is exact; one neuron at a time saves memory.
        counts = self.counts[NEURONS]
        sums = [times.astype(float) @ counts[:, d].astype(float) for d in range(counts.shape[1])]
        return np.stack(sums, axis=1).astype(np.uint64)


class Sight(Eye):
    """An extractor and its views, with everything fixed on calibration images that it does not bring itself.

    Args:
        name: of the network.
        calibration: images; with views, few enough to hold all their activations.
        views: linear ones.
    """

    def __init__(self, name: str, calibration: Images, views: Sequence[str] = ()) -> None:
        super().__init__(name, find_network(name, Path.cwd()), calibration)
        layers = self.extractor.layers
        self._binnings = [Binning(self.binning.lo[part], self.binning.hi[part]) for part in layers.slices.values()]
        self._viewed = Viewed(layers.names, self.activations(calibration) if views else [], views, self._binnings)
        kept = [np.arange(layers.n_neurons)[layers.slices[name]] for name in self.extractor.covariance_layers]
        self.features = np.concatenate(kept)
        """The neurons that peers get the means of: those of layers that FD is defined on."""
        self.centre = self.ranges.centre if self.ranges else self.see(calibration).pooled.mean(axis=0, dtype=float)

    def see(self, images: Images) -> Seen:
        """All of them, a batch at a time."""
        return Seen.joined(self.seen(batch) for batch in self._ordered(images))

    def activations(self, images: Images) -> list[np.ndarray]:
        """Of every layer, (n_images, n_neurons, n_positions)."""
        return [np.concatenate(values) for values in zip(*self._ordered(images), strict=True)]

    def seen(self, layers: list[np.ndarray]) -> Seen:
        """What is seen where these are the activations."""
        return Seen.through(self._viewed, layers)

    def rows(self, digests: Sequence[str], seen: Seen) -> ImageFeatures:
        """What the lake keeps of every image: means of some layers and signs."""
        layers, chosen = self.extractor.layers, self.extractor.image_layers
        return ImageFeatures.of(tuple(digests), seen.pooled.astype(float), layers, chosen, self.binning, self.centre)

    def see_cells(self, images: Images, made: ViewLayers, times: np.ndarray) -> tuple[Seen, np.ndarray]:
        """The same, and the counts of samples in the cells of a spatial view, in the ranges of the neurons.

        Args:
            images: n_images of them.
            made: the layers of the view.
            times: (n_samples, n_images) how often each sample has each image.

        Returns:
            what is seen, and (n_samples, n_cell_neurons, COARSE_BINS) float32.
        """
        batches, cells, start = [], np.float32(0), 0
        for batch in self._ordered(images):
            batches.append(self.seen(batch))
            n, in_cells = len(batch[0]), []
            for source, (rows, columns) in zip(made.sources, made.cells, strict=True):
                at, values = self.extractor.positions[source], batch[source]
                plane = values[:, :, at.n_before :].reshape(*values.shape[:2], *at.grid)[:, :, rows, columns]
                flat = np.ascontiguousarray(plane).reshape(*values.shape[:2], -1)
                in_cells.append(counts_of_images(self._binnings[source], flat)[0])
            counts = np.concatenate(in_cells, axis=1).astype(np.float32)
            cells = cells + np.tensordot(times[:, start : start + n].astype(np.float32), counts, axes=1)
            start += n
        return Seen.joined(batches), cells

    def _ordered(self, images: Images) -> Iterator[list[np.ndarray]]:
        """By batch, the activations of every layer in the order of layers, which need not be that of the network."""
        for batch in self.batches(images):
            yield [values for _, values in sorted(batch, key=lambda layer: layer[0].start)]


@numba.njit(cache=True)
def _add(counts, rows, blocks, summed):
    for at in range(len(rows)):
        image, block = counts[rows[at]], summed[blocks[at]]
        for k in range(len(image)):
            block[k] += image[k]
