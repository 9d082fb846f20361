"""Images as an extractor sees them, each alone and in memory: coarse counts, and means over positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.eyes import Eye
from benchmarks.protocols.textures import counts_of_images
from dna_pipelines.distributions import Binning, ImageFeatures
from dna_pipelines.extraction.registry import find_network
from dna_pipelines.extraction.view_layers import ViewLayers

Images = np.ndarray | Sequence[np.ndarray]
"""Of uint8 pixels, (edge, edge, 3) each."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Images in the order in which they were given.

    Attributes:
        counts: (n_images, n_neurons, COARSE_BINS) uint16.
        means: (n_images, n_neurons) over positions.
    """

    counts: np.ndarray
    means: np.ndarray

    def __getitem__(self, chosen) -> Seen:
        return Seen(self.counts[chosen], self.means[chosen])

    def summed(self, times: np.ndarray) -> np.ndarray:
        """The counts of samples, (n_samples, n_neurons, COARSE_BINS) uint64.

        Args:
            times: (n_samples, n_images) how often each sample has each image.
        """
        # Sums of counts stay below 2**53, where float64 is exact; one neuron at a time saves memory.
        found = [times.astype(float) @ self.counts[:, d].astype(float) for d in range(self.counts.shape[1])]
        return np.stack(found, axis=1).astype(np.uint64)


class Sight(Eye):
    """An extractor by name. Ranges are its own, or those of some images where it brings none."""

    def __init__(self, name: str, calibration: Images) -> None:
        super().__init__(name, find_network(name, Path.cwd()), calibration)
        layers = self.extractor.layers
        self._binnings = [Binning(self.binning.lo[part], self.binning.hi[part]) for part in layers.slices.values()]
        kept = [np.arange(layers.n_neurons)[layers.slices[name]] for name in self.extractor.covariance_layers]
        self.features = np.concatenate(kept)
        """The neurons that peers get the means of: those of layers that FD is defined on."""
        self.centre = self.ranges.centre if self.ranges else self.see(calibration).means.mean(axis=0, dtype=float)

    def see(self, images: Images) -> Seen:
        batches = [self._one(batch) for batch in self._ordered(images)]
        return Seen(*(np.concatenate(column) for column in zip(*batches, strict=True)))

    def rows(self, digests: Sequence[str], seen: Seen) -> ImageFeatures:
        """What the lake keeps of every image: means of some layers and signs."""
        layers, chosen = self.extractor.layers, self.extractor.image_layers
        return ImageFeatures.of(tuple(digests), seen.means.astype(float), layers, chosen, self.binning, self.centre)

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
            batches.append(self._one(batch))
            n, in_cells = len(batch[0]), []
            for source, (rows, columns) in zip(made.sources, made.cells, strict=True):
                at, values = self.extractor.positions[source], batch[source]
                plane = values[:, :, at.n_before :].reshape(*values.shape[:2], *at.grid)[:, :, rows, columns]
                flat = np.ascontiguousarray(plane).reshape(*values.shape[:2], -1)
                in_cells.append(counts_of_images(self._binnings[source], flat)[0])
            counts = np.concatenate(in_cells, axis=1).astype(np.float32)
            cells = cells + np.tensordot(times[:, start : start + n].astype(np.float32), counts, axes=1)
            start += n
        return Seen(*(np.concatenate(column) for column in zip(*batches, strict=True))), cells

    def _ordered(self, images: Images) -> Iterator[list[np.ndarray]]:
        """By batch, the activations of every layer in the order of layers, which need not be that of the network."""
        for batch in self.batches(images):
            yield [values for _, values in sorted(batch, key=lambda layer: layer[0].start)]

    def _one(self, batch: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        seen = [counts_of_images(*layer) for layer in zip(self._binnings, batch, strict=True)]
        counts, means = (np.concatenate(column, axis=1) for column in zip(*seen, strict=True))
        return counts, means.astype(np.float32)
