"""One pair of DNAs in full detail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.distances import emd_bins, fd, nfd
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.dna import Dna


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every distance of a pair.

    Attributes:
        emd_bins: (n_neurons,) in bins.
        nfd: (n_neurons,) in squared activation units.
        fd: by layer, where both keep a full covariance.
        n_bins: of the histograms, to give EMD as a share of the range.
    """

    a: Dna
    b: Dna
    emd_bins: NDArray[np.float64]
    nfd: NDArray[np.float64]
    fd: Mapping[str, float]
    n_bins: int

    def summary(self, selection: Selection) -> dict[str, Any]:
        """The distances over a selection of neurons, as a JSON value."""
        emd = selection.mean(self.emd_bins)
        frechet = [self.fd[name] for name in selection.names() if name in self.fd]
        return {
            "a": self.a.label,
            "b": self.b.label,
            "emd_bins": emd,
            "emd_range": emd / self.n_bins,
            "nfd": selection.mean(self.nfd),
            "fd": float(np.mean(frechet)) if frechet else None,
            "n_neurons": int((selection.weights > 0).sum()),
            "layers": [self._layer(name, selection) for name in selection.names()],
        }

    def _layer(self, name: str, selection: Selection) -> dict[str, Any]:
        part = selection.layers.slice_of(name)
        inside = Selection(selection.layers, np.zeros_like(selection.weights))
        inside.weights[part] = selection.weights[part]
        emd = inside.mean(self.emd_bins)
        values = np.where(inside.weights > 0, np.nan_to_num(self.emd_bins, nan=-1.0), -1.0)
        return {
            "layer": name,
            "n_neurons": int((inside.weights > 0).sum()),
            "emd_bins": emd,
            "emd_range": emd / self.n_bins,
            "nfd": inside.mean(self.nfd),
            "fd": self.fd.get(name),
            "top_neuron": int(np.argmax(values)) - part.start,
            "top_neuron_emd_bins": float(values.max()),
        }


def compare(a: Dna, b: Dna) -> Comparison:
    """Compare two DNAs neuron by neuron.

    Raises:
        Incomparable: when they were not measured the same way.
    """
    a.require_comparable(b)
    shared = a.moments.covariances.keys() & b.moments.covariances.keys()
    frechet = {name: fd(a.moments.covariances[name], b.moments.covariances[name]) for name in sorted(shared)}
    distances = emd_bins(a.histogram.counts, b.histogram.counts)
    return Comparison(a, b, distances, nfd(a.moments, b.moments), frechet, a.histogram.counts.shape[1])
