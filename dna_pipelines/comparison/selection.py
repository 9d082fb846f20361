"""Which neurons count in a distance, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Layers
from dna_pipelines.errors import UnknownName

_MOST = 1_000_000
"""No layer has more neurons; what lies beyond is refused by its first number."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Neuron weights over all layers: (n_neurons,), at least 0 and not all 0."""

    layers: Layers
    weights: NDArray[np.float64]

    @staticmethod
    def everything(layers: Layers) -> Selection:
        """Every neuron, with equal weight; virtual ones (projections, …) are left out where there are real ones."""
        real = any(layer.kind == "neuron" for layer in layers)
        chosen = [not real or layer.kind == "neuron" for layer in layers for _ in range(layer.n_neurons)]
        return Selection(layers, np.asarray(chosen, np.float64))

    @staticmethod
    def of(layers: Layers, names: Sequence[str] = (), neurons: Sequence[str] = ()) -> Selection:
        """Whole layers by name, and single neurons as `layer:3,17` or `layer:0-9`.

        Raises:
            UnknownName: for a layer or a neuron there is not.
        """
        if not names and not neurons:
            return Selection.everything(layers)
        weights = np.zeros(layers.n_neurons)
        for name in names:
            weights[layers.slice_of(name)] = 1.0
        for text in neurons:
            name, _, indices = text.rpartition(":")
            part = layers.slice_of(name or indices)
            for index in _indices(text, indices):
                if not 0 <= index < part.stop - part.start:
                    n_neurons = part.stop - part.start
                    raise UnknownName(
                        f"layer '{name}' has neurons 0 to {n_neurons - 1}, not {index}",
                        code="name.neuron",
                        layer=name,
                        neuron=index,
                        n_neurons=n_neurons,
                    )
                weights[part.start + index] = 1.0
        return Selection(layers, weights)

    def mean(self, values: NDArray[np.float64]) -> float:
        """The weighted mean over neurons; neurons without a value (NaN) are left out."""
        known = np.isfinite(values) & (self.weights > 0)
        return float(np.average(values[known], weights=self.weights[known])) if known.any() else float("nan")

    def names(self) -> list[str]:
        """The layers that have any weight."""
        return [name for name, part in self.layers.slices.items() if self.weights[part].any()]


def _indices(text: str, indices: str) -> list[int]:
    chosen_indices: list[int] = []
    try:
        for piece in indices.split(","):
            first, _, last = piece.partition("-")
            chosen = range(int(first), int(last or first) + 1)
            if not chosen:
                raise ValueError
            chosen_indices += chosen[:_MOST]
    except ValueError as error:
        raise UnknownName(
            f"'{text}' names no neurons; write LAYER:3,17 or LAYER:0-9", code="name.neuron-syntax", text=text
        ) from error
    return chosen_indices
