"""The images measure: one row per image, for scores, attribution and near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions.binning import Binning
from dna_pipelines.distributions.layers import Layers


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Position-averaged activations of chosen layers, image by image.

    Attributes:
        digests: the images, in the order of the rows.
        pooled: per layer (n_images, n_neurons) float16, in units of the activation range
            (-1 at its low edge, +1 at its high edge). Beyond 65,504, the largest of float16, it is
            infinite: in ranges that were measured here nothing gets there, but imported ones with equal
            bounds are so narrow that nearly everything does.
        signs: (n_images, n_bytes) uint8; bit i says whether neuron i of the chosen layers, in
            order, was above its calibration mean. The Hamming distance finds near-duplicates.
    """

    digests: tuple[str, ...]
    pooled: Mapping[str, NDArray[np.float16]]
    signs: NDArray[np.uint8]

    def merge(self, other: ImageFeatures) -> ImageFeatures:
        """The rows of both, in order."""
        return ImageFeatures(
            (*self.digests, *other.digests),
            {name: np.concatenate([rows, other.pooled[name]]) for name, rows in self.pooled.items()},
            np.concatenate([self.signs, other.signs]),
        )

    @staticmethod
    def of(
        digests: Sequence[str],
        pooled: NDArray[np.float64],
        layers: Layers,
        chosen: Sequence[str],
        binning: Binning,
        centre: NDArray[np.float64],
    ) -> ImageFeatures:
        """From position-averaged activations of shape (n_images, n_neurons) over all layers."""
        parts = {name: layers.slice_of(name) for name in chosen}
        unit = {
            name: ((pooled[:, part] - binning.lo[part]) * (2 / (binning.hi[part] - binning.lo[part])) - 1)
            for name, part in parts.items()
        }
        above = np.concatenate([pooled[:, part] > centre[part] for part in parts.values()], axis=1)
        with np.errstate(over="ignore"):
            halves = {name: values.astype(np.float16) for name, values in unit.items()}
        return ImageFeatures(tuple(digests), halves, np.packbits(above, axis=1))
