"""The layers of a view: which virtual neurons it makes of which layer of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dna_pipelines.config import View
from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Positions

_KINDS = {"projected": "projection", "whitened": "whitened", "spatial": "cell"}
"""The `Layer.kind` of each view."""

Cell = tuple[slice, slice]
"""Rows and columns of a layer's grid."""


@dataclass(frozen=True)
class ViewLayers:
    """What a view consists of.

    Attributes:
        layers: its own.
        sources: for each of them, the place of the layer of the network it is made from.
        cells: for each layer of a spatial view, which part of the other it is; empty for linear views.
    """

    layers: Layers
    sources: tuple[int, ...]
    cells: tuple[Cell, ...] = ()

    def left_out(self, of: Layers) -> tuple[str, ...]:
        """The layers of the network that the view has nothing of."""
        return tuple(name for place, name in enumerate(of.names) if place not in self.sources)


def layers_of_view(view: View, layers: Layers, positions: Sequence[Positions], label: str) -> ViewLayers:
    """The layers of a view of a network.

    Args:
        view: which one.
        layers, positions: of the network.
        label: what messages call it.

    Raises:
        ExtractorError: when no layer has what the view shows.
    """
    kind = _KINDS[view.kind]
    if view.needs_basis:
        own = Layers(tuple(Layer(layer.name, _n_outputs(view, layer), kind) for layer in layers))
        return ViewLayers(own, tuple(range(len(layers))))
    made = [
        (Layer(f"{layer.name}.r{row}c{column}", layer.n_neurons, kind), source, cell)
        for source, (layer, at) in enumerate(zip(layers, positions, strict=True))
        for row, column, cell in _cells(at, view.n)
    ]
    if not made:
        raise ExtractorError(
            f"{label}: no layer has a map of {view.n} x {view.n} positions or more (that could be told), so there is "
            f"no view '{view.name}' of it"
        )
    cut, sources, cells = zip(*made, strict=True)
    if len({layer.name for layer in cut}) < len(cut):
        raise ExtractorError(f"{label}: two layers of the view '{view.name}' would have one name")
    return ViewLayers(Layers(cut), sources, cells)


def _n_outputs(view: View, layer: Layer) -> int:
    return min(view.n, layer.n_neurons) if view.kind == "whitened" else view.n


def _cells(at: Positions, n: int) -> list[tuple[int, int, Cell]]:
    """The cells of a layer; none where its grid is smaller. Edges are rounded down, so cells may differ by one."""
    if at.grid is None or min(at.grid) < n:
        return []
    rows, columns = ([slice(i * size // n, (i + 1) * size // n) for i in range(n)] for size in at.grid)
    return [(i, j, (a, b)) for i, a in enumerate(rows) for j, b in enumerate(columns)]
