"""The moments measure: mean, variance and covariance over images of position-averaged activations.

Merged by the pairwise update of Chan, Golub and LeVeque (1979), which stays accurate when the
mean is large against the spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions.layers import Layers

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Covariance:
    """Mean and centred second moments of one layer.

    Attributes:
        n_images: images that had only finite activations in the layer.
        mean: (n_neurons,).
        comoment: (n_neurons, n_neurons), the sum of (x - mean)(x - mean)ᵀ.
    """

    n_images: int
    mean: F64
    comoment: F64

    def merge(self, other: Covariance) -> Covariance:
        """The covariance of both sets of images together."""
        n = self.n_images + other.n_images
        if n == 0 or self.n_images == 0:
            return other
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n_images / n)
        correction = np.outer(delta, delta) * (self.n_images * other.n_images / n)
        return Covariance(n, mean, self.comoment + other.comoment + correction)

    @property
    def covariance(self) -> F64:
        """The unbiased covariance matrix; NaN with fewer than two images."""
        return self.comoment / (self.n_images - 1) if self.n_images > 1 else np.full_like(self.comoment, np.nan)

    @cached_property
    def square_root(self) -> F64:
        """The symmetric square root of the covariance matrix, by its eigenvalues (negative ones are rounding)."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

    @staticmethod
    def of(pooled: F64) -> Covariance:
        """From position-averaged activations of shape (n_images, n_neurons)."""
        rows = pooled[np.isfinite(pooled).all(axis=1)]
        if len(rows) == 0:
            width = pooled.shape[1]
            return Covariance(0, np.zeros(width), np.zeros((width, width)))
        mean = rows.mean(axis=0)
        centred = rows - mean
        return Covariance(len(rows), mean, centred.T @ centred)


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of every neuron over images.

    Attributes:
        n_images: (n_neurons,) images whose average was finite in that neuron.
        mean: (n_neurons,), 0 before any image.
        m2: (n_neurons,) sum of squared deviations from the mean.
        covariances: full second moments of the layers chosen for it.
    """

    n_images: NDArray[np.uint64]
    mean: F64
    m2: F64
    covariances: Mapping[str, Covariance] = field(default_factory=dict)

    @staticmethod
    def empty(n_neurons: int) -> Moments:
        """The identity of `merge`."""
        return Moments(np.zeros(n_neurons, np.uint64), np.zeros(n_neurons), np.zeros(n_neurons))

    @property
    def variance(self) -> F64:
        """(n_neurons,) unbiased variance over images; NaN with fewer than two."""
        n = self.n_images.astype(np.float64)
        return np.divide(self.m2, n - 1, out=np.full_like(self.m2, np.nan), where=n > 1)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of images together.

        A covariance that is missing on one side is dropped, because it would not cover all images.
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"moments of {len(self.mean)} and {len(other.mean)} neurons cannot be merged")
        n_a, n_b = self.n_images.astype(np.float64), other.n_images.astype(np.float64)
        n = np.maximum(n_a + n_b, 1.0)
        delta = other.mean - self.mean
        covariances = dict(self.covariances)
        for name, theirs in other.covariances.items():
            covariances[name] = covariances[name].merge(theirs) if name in covariances else theirs
        if n_a.any() and n_b.any():
            for name in self.covariances.keys() ^ other.covariances.keys():
                del covariances[name]
        return Moments(
            self.n_images + other.n_images,
            # Weighted from the first side, so that merging into an empty one is exact.
            np.where(n_a == 0, other.mean, self.mean + delta * (n_b / n)),
            self.m2 + other.m2 + delta**2 * (n_a * n_b / n),
            covariances,
        )

    @staticmethod
    def of(pooled: F64, layers: Layers, covariance_layers: tuple[str, ...] = ()) -> Moments:
        """From position-averaged activations of shape (n_images, n_neurons) over all layers."""
        finite = np.isfinite(pooled)
        n_images = finite.sum(axis=0)
        counted = np.where(finite, pooled, 0.0)
        mean = counted.sum(axis=0) / np.maximum(n_images, 1)
        m2 = (np.where(finite, pooled - mean, 0.0) ** 2).sum(axis=0)
        covariances = {name: Covariance.of(pooled[:, layers.slice_of(name)]) for name in covariance_layers}
        return Moments(n_images.astype(np.uint64), mean, m2, covariances)
