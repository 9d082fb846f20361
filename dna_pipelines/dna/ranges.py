"""Activation ranges: measured once per extractor, frozen until asked, part of the comparability key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Binning, Layers
from dna_pipelines.dna.basis import Basis
from dna_pipelines.identity import Item, stable_hash


@dataclass(frozen=True, eq=False)
class ActivationRanges:
    """What the histograms of an extractor are binned with.

    Attributes:
        layers: the layers the arrays run over.
        binning: the final edges; their hash is the identity of the ranges.
        minimum, maximum: (n_neurons,) float32 extremes seen in calibration.
        centre: (n_neurons,) float64 mean of the position-averaged activations in calibration; the middle
            of the edges where they came from a file that has no means.
        n_images: images they were taken from; 0 where a file does not say.
        datasets: the datasets those images came from.
        origin: the file they were imported from; empty where they were measured here.
        basis: the linear maps of a view, which its ranges are those of; None where neurons are the network's own.
    """

    layers: Layers
    binning: Binning
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    centre: NDArray[np.float64]
    n_images: int
    datasets: tuple[str, ...]
    origin: str = ""
    basis: Basis | None = None

    @property
    def id(self) -> str:
        """The hash of the final edges, and of the maps where there are any."""
        return self.binning.id if self.basis is None else stable_hash([self.binning.id, self.basis.id])

    def of(self, layers: Layers) -> ActivationRanges | None:
        """The part of some layers; None where one is missing here, or of another width."""
        known = {layer.name: layer for layer in self.layers}
        if any(known.get(layer.name) != layer for layer in layers):
            return None
        chosen = np.concatenate([np.arange(layer.n_neurons) + self.layers.slices[layer.name].start for layer in layers])
        binning = Binning(self.binning.lo[chosen], self.binning.hi[chosen], self.binning.n_bins)
        seen = (self.minimum[chosen], self.maximum[chosen], self.centre[chosen])
        return ActivationRanges(layers, binning, *seen, self.n_images, self.datasets, self.origin)


def calibration_sample(items: Iterable[Item], limit: int) -> list[str]:
    """At most `limit` digests: the smallest ones, which are a uniform and stable sample."""
    return sorted({item.digest for item in items})[:limit]
