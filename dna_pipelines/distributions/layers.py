"""The layers of an extractor: their names, widths and slices of the array of all neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dna_pipelines.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Layer:
    """One tapped layer. `kind` keeps virtual neurons (projections, cells) out of "all neurons"."""

    name: str
    n_neurons: int
    kind: str = "neuron"


@dataclass(frozen=True)
class Layers:
    """All layers in order; arrays "over all neurons" are their concatenation."""

    layers: tuple[Layer, ...]

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each layer's neurons are in an array over all neurons."""
        stops = np.cumsum([layer.n_neurons for layer in self.layers]).tolist()
        return {layer.name: slice(stop - layer.n_neurons, stop) for layer, stop in zip(self.layers, stops, strict=True)}

    @property
    def n_neurons(self) -> int:
        """The number of neurons of all layers."""
        return sum(layer.n_neurons for layer in self.layers)

    @property
    def names(self) -> list[str]:
        """The layers' names, in order."""
        return [layer.name for layer in self.layers]

    def slice_of(self, name: str) -> slice:
        """Where a layer is.

        Raises:
            UnknownName: listing the layers there are.
        """
        if name not in self.slices:
            raise UnknownName(
                f"there is no layer '{name}'; the layers are: {', '.join(self.names)}",
                code="name.layer",
                name=name,
                known=list(self.names),
            )
        return self.slices[name]

    def labels(self) -> list[str]:
        """The layer's name for every neuron."""
        return [layer.name for layer in self.layers for _ in range(layer.n_neurons)]

    def key(self) -> list[list[Any]]:
        """The layers as a JSON value."""
        return [[layer.name, layer.n_neurons, layer.kind] for layer in self.layers]

    @staticmethod
    def from_key(key: list[list[Any]]) -> Layers:
        """The layers that a JSON value describes."""
        return Layers(tuple(Layer(str(name), int(n), str(kind)) for name, n, kind in key))

    def __iter__(self) -> Iterator[Layer]:
        """In order."""
        return iter(self.layers)

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)
