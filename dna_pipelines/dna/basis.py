"""The linear maps of a view: random directions or main components of each layer, frozen with its ranges.

Both are of standardised neurons, z = (x - mean) / deviation as seen in calibration, so that no neuron weighs
more because its numbers are larger.

- Directions are drawn uniformly from the unit sphere: the mean over them of the distance of the two projected
  distributions is the sliced Wasserstein distance (Bonneel et al., 2015).
- Components are the eigenvectors v of the correlation matrix with the largest eigenvalues λ, scaled by
  1 / √(λ + ε): on the calibration images they have unit variance and no correlation, so that a change of
  dependence shows in their spread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Covariance, Moments
from dna_pipelines.identity import ID_LENGTH, stable_hash

F64 = NDArray[np.float64]

REGULARISATION = 1e-3
"""ε of whitening, as a share of the mean eigenvalue (which is 1): components with less variance stay small."""


@dataclass(frozen=True, eq=False)
class Basis:
    """y = W x + b for each layer, in float32.

    Attributes:
        weights: W of each layer in order, (n_outputs, n_neurons).
        offsets: b of each layer, (n_outputs,).
    """

    weights: tuple[NDArray[np.float32], ...]
    offsets: tuple[NDArray[np.float32], ...]

    @cached_property
    def id(self) -> str:
        """A hash of all numbers."""
        hasher = hashlib.sha256()
        for weights, offsets in zip(self.weights, self.offsets, strict=True):
            hasher.update(str(weights.shape).encode())
            hasher.update(np.ascontiguousarray(weights, "<f4").tobytes())
            hasher.update(np.ascontiguousarray(offsets, "<f4").tobytes())
        return hasher.hexdigest()[:ID_LENGTH]

    @staticmethod
    def of(maps: Iterable[tuple[F64, F64]]) -> Basis:
        """From W and b of each layer."""
        pairs = [(w.astype(np.float32), b.astype(np.float32)) for w, b in maps]
        return Basis(tuple(w for w, _ in pairs), tuple(b for _, b in pairs))


def random_directions(layer: str, n: int, seen: Moments) -> tuple[F64, F64]:
    """W and b of random directions of a layer; its name is the seed.

    Args:
        layer: its name.
        n: how many directions.
        seen: moments of its neurons over the positions of the calibration images.
    """
    scale = _deviations(seen.variance)
    rng = np.random.default_rng(int(stable_hash(["projected", layer]), 16))
    drawn = rng.standard_normal((n, len(scale)))
    return _of_standardised(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), seen.mean, scale)


def main_components(n: int, seen: Covariance) -> tuple[F64, F64]:
    """W and b of the whitened main components of a layer, at most as many as it has neurons.

    Args:
        n: how many components.
        seen: second moments of its neurons over the positions of the calibration images.
    """
    # Without two positions in which all neurons were finite, nothing is known of their dependence.
    covariance = np.nan_to_num(seen.covariance)
    scale = _deviations(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    order = np.argsort(-values, kind="stable")[:n]
    chosen = vectors[:, order].T
    # An eigenvector has no sign of its own.
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=1)[:, None], axis=1)
    chosen = chosen * np.where(largest < 0, -1.0, 1.0)
    spread = np.sqrt(np.maximum(values[order], 0.0) + REGULARISATION)
    return _of_standardised(chosen / spread[:, None], seen.mean, scale)


def _deviations(variance: F64) -> F64:
    """Standard deviations; a neuron that was constant has no scale of its own and gets its layer's median."""
    deviation = np.sqrt(np.nan_to_num(variance))
    constant = deviation <= 1e-6 * deviation.max(initial=0.0)
    usual = np.median(deviation[~constant]) if not constant.all() else 1.0
    return np.asarray(np.where(constant, usual, deviation))


def _of_standardised(directions: F64, mean: F64, scale: F64) -> tuple[F64, F64]:
    weights = directions / scale
    return weights, -(weights @ mean)
