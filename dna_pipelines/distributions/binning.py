"""Binning: which bin of a neuron's histogram an activation falls into.

Bin k of a neuron holds lo + k·w <= x < lo + (k+1)·w with w = (hi - lo) / n_bins, computed in
float64; x = hi belongs to the last bin. Values outside are counted in the edge bins and separately.
This is Visual DNA's histogram (mapped to [-1, 1] there), with the edges as its identity.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions.layers import Layers

N_BINS = 1000
"""Bins of a histogram (Visual DNA's default)."""

COARSE_BINS = 50
"""Bins of the counts kept per statistical block."""

WIDENING = 1.2
"""The calibrated range is widened by this factor about its centre."""


@dataclass(frozen=True, eq=False)
class Binning:
    """The histogram edges of all neurons: `lo` and `hi`, float64 of shape (n_neurons,)."""

    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    n_bins: int = N_BINS

    def __post_init__(self) -> None:
        """Refuse edges that do not span a range."""
        if self.lo.shape != self.hi.shape or self.lo.ndim != 1:
            raise ValueError(f"lo and hi must be vectors of one length, not {self.lo.shape} and {self.hi.shape}")
        if not (np.isfinite(self.lo).all() and np.isfinite(self.hi).all() and (self.hi > self.lo).all()):
            raise ValueError("every neuron needs finite edges with lo < hi")

    @cached_property
    def id(self) -> str:
        """A hash of the edges and the number of bins."""
        hasher = hashlib.sha256(str(self.n_bins).encode())
        hasher.update(np.ascontiguousarray(self.lo, "<f8").tobytes())
        hasher.update(np.ascontiguousarray(self.hi, "<f8").tobytes())
        return hasher.hexdigest()[:24]

    @cached_property
    def scale(self) -> NDArray[np.float64]:
        """Bins per unit of activation, for each neuron."""
        return self.n_bins / (self.hi - self.lo)

    @property
    def coarse_of(self) -> NDArray[np.uint8]:
        """The coarse bin of each bin; exact because coarse edges are bin edges."""
        if self.n_bins % COARSE_BINS:
            raise ValueError(f"the number of bins must be a multiple of {COARSE_BINS}, not {self.n_bins}")
        return np.repeat(np.arange(COARSE_BINS, dtype=np.uint8), self.n_bins // COARSE_BINS)

    @staticmethod
    def from_observed(
        minimum: NDArray[np.floating], maximum: NDArray[np.floating], layers: Layers, n_bins: int = N_BINS
    ) -> Binning:
        """Edges from observed extremes, widened about their centre.

        A neuron that was constant (or never finite) has no scale of its own: it gets the median
        half-width of its layer, or 1 where the whole layer was constant.
        """
        low, high = np.asarray(minimum, np.float64), np.asarray(maximum, np.float64)
        seen = np.isfinite(low) & np.isfinite(high)
        low, high = np.where(seen, low, 0.0), np.where(seen, high, 0.0)
        centre, half = (low + high) / 2, (high - low) / 2 * WIDENING
        # Below this, float32 activations could not be distinguished across the range.
        constant = half <= 1e-5 * np.abs(centre)
        for part in layers.slices.values():
            alive = half[part][~constant[part]]
            half[part] = np.where(constant[part], np.median(alive) if alive.size else 1.0, half[part])
        half = np.maximum(half, 1e-5 * np.abs(centre))
        return Binning(centre - half, centre + half, n_bins)
