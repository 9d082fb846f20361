"""The layers of a view: which virtual neurons it makes from which layer of the network."""

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
    """The layers of a view, and what they are made from.

    Attributes:
        layers: the layers of the view.
        sources: for each of them, the index of the network's layer that it is made from.
        cells: for each layer of a spatial view, which cell of that layer's grid it is; empty for linear views.
    """

    layers: Layers
    sources: tuple[int, ...]
    cells: tuple[Cell, ...] = ()

    def left_out(self, of: Layers) -> tuple[str, ...]:
        """The layers of the network from which the view makes nothing."""
        return tuple(name for index, name in enumerate(of.names) if index not in self.sources)


def layers_of_view(view: View, layers: Layers, positions: Sequence[Positions], label: str) -> ViewLayers:
    """The layers of a view of a network.

    Args:
        view: the view of the datasets file.
        layers: of the network.
        positions: of the network, layer by layer.
        label: what messages call the network.

    Raises:
        ExtractorError: `network.view-without-layers` when no layer has a grid with enough cells,
            `network.view-names-clash` when two layers of the view would have the same name.
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
            f"{label}: no layer has a known grid of {view.n} x {view.n} positions or more, so there is no view "
            f"'{view.name}' of it; lower `n`, or choose layers with larger grids",
            code="network.view-without-layers",
            network=label,
            view=view.name,
            n=view.n,
        )
    own_layers, sources, cells = zip(*made, strict=True)
    names = [layer.name for layer in own_layers]
    if len(set(names)) < len(names):
        raise ExtractorError(
            f"{label}: several layers of the view '{view.name}' would have the same name; choose other layers",
            code="network.view-names-clash",
            network=label,
            view=view.name,
            layers=sorted({name for name in names if names.count(name) > 1}),
        )
    return ViewLayers(Layers(own_layers), sources, cells)


def _n_outputs(view: View, layer: Layer) -> int:
    return min(view.n, layer.n_neurons) if view.kind == "whitened" else view.n


def _cells(at: Positions, n: int) -> list[tuple[int, int, Cell]]:
    """The cells of a layer; none if its grid is smaller. Edges are rounded down, so cells may differ by one."""
    if at.grid is None or min(at.grid) < n:
        return []
    rows, columns = ([slice(i * size // n, (i + 1) * size // n) for i in range(n)] for size in at.grid)
    return [(i, j, (a, b)) for i, a in enumerate(rows) for j, b in enumerate(columns)]
