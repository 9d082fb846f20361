"""One pair of DNAs in full detail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.distances import emd_bins, fd, nfd
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.dna import Comparable, require_comparable


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every distance of a pair. NaN: a side does not have what it takes.

    Attributes:
        emd_bins: (n_neurons,) in bins.
        nfd: (n_neurons,) in squared activation units.
        fd: by layer, where both keep a full covariance.
        n_bins: of the histograms, to give EMD as a share of the range; None without histograms on both sides.
    """

    a: Comparable
    b: Comparable
    emd_bins: NDArray[np.float64]
    nfd: NDArray[np.float64]
    fd: Mapping[str, float]
    n_bins: int | None

    def summary(self, selection: Selection) -> dict[str, Any]:
        """The distances over a selection of neurons, as a JSON value."""
        emd = selection.mean(self.emd_bins)
        frechet = [value for name in selection.names() if (value := self._fd(name, selection)) is not None]
        return {
            "a": self.a.label,
            "b": self.b.label,
            "emd_bins": emd,
            "emd_range": emd / self.n_bins if self.n_bins else emd,
            "nfd": selection.mean(self.nfd),
            "fd": float(np.mean(frechet)) if frechet else None,
            "n_neurons": self._n_known(selection),
            "layers": [self._layer(name, selection) for name in selection.names()],
        }

    def _fd(self, name: str, selection: Selection) -> float | None:
        """FD is of a layer as a whole: there is none of some of its neurons, or of unequal weights."""
        weights = selection.weights[selection.layers.slice_of(name)]
        whole = bool((weights > 0).all() and (weights == weights[0]).all())
        return self.fd.get(name) if whole else None

    def _n_known(self, selection: Selection) -> int:
        """Selected neurons that have a distance."""
        known = np.isfinite(self.emd_bins) | np.isfinite(self.nfd)
        return int((known & (selection.weights > 0)).sum())

    def _layer(self, name: str, selection: Selection) -> dict[str, Any]:
        part = selection.layers.slice_of(name)
        inside = Selection(selection.layers, np.zeros_like(selection.weights))
        inside.weights[part] = selection.weights[part]
        emd = inside.mean(self.emd_bins)
        values = np.where(inside.weights > 0, np.nan_to_num(self.emd_bins, nan=-1.0), -1.0)
        top = None if isnan(emd) else int(np.argmax(values))
        return {
            "layer": name,
            "n_neurons": self._n_known(inside),
            "emd_bins": emd,
            "emd_range": emd / self.n_bins if self.n_bins else emd,
            "nfd": inside.mean(self.nfd),
            "fd": self._fd(name, selection),
            "top_neuron": None if top is None else top - part.start,
            "top_neuron_emd_bins": None if top is None else float(values[top]),
        }


def compare(a: Comparable, b: Comparable) -> Comparison:
    """Compare two DNAs neuron by neuron, in every metric that both have what it takes for.

    Raises:
        Incomparable: when they were not measured the same way.
    """
    require_comparable(a, b)
    emd = frechet = np.full(a.layers.n_neurons, np.nan)
    n_bins, full = None, {}
    if a.counts is not None and b.counts is not None:
        emd, n_bins = emd_bins(a.counts, b.counts), a.counts.shape[1]
    if a.moments is not None and b.moments is not None:
        frechet = nfd(a.moments, b.moments)
        left, right = a.moments.covariances, b.moments.covariances
        full = {name: fd(left[name], right[name]) for name in sorted(left.keys() & right.keys())}
    return Comparison(a, b, emd, frechet, full, n_bins)
