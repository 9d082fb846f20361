"""Views: what an extractor's activations look like through fixed linear maps, or cell by cell.

A view is an extractor of its own: the same network, other neurons (virtual ones). Whatever folds, merges and
compares neurons works on them as well, and a view has keys, ranges and DNAs beside those of its network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import pad

from dna_pipelines.config import View
from dna_pipelines.dna import ActivationRanges, Basis
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.taps import Sink, neurons_second
from dna_pipelines.extraction.views.view_layers import ViewLayers, layers_of_view

_RULES = 1
"""Of how a view is made; goes up when one and the same spec comes to mean something else."""

_LINE = 16
"""float32 values in a cache line of 64 bytes."""

Map = tuple[torch.Tensor, torch.Tensor]
"""Weights (n_outputs, n_neurons) and offsets (n_outputs, 1)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewExtractor(Extractor):
    """An extractor whose neurons are made from those of another one.

    Attributes:
        base: the network as it is.
        view: what is made of it.
        made: which layer is made from which.
        maps: of each layer of a linear view, on the device, once it is bound to its basis.
    """

    base: Extractor
    view: View
    made: ViewLayers
    maps: tuple[Map, ...] = ()

    @property
    def parts(self) -> dict[str, Any]:
        """Those of the network, and the view."""
        view = {"kind": self.view.kind, "n": self.view.n, "layers": self.layers.key(), "rules": _RULES}
        return {**self.base.parts, "view": view}

    @property
    def covariance_layers(self) -> tuple[str, ...]:
        """Those made from layers that keep one; none of cells, of which there are too many."""
        return () if self.made.cells else self._made_from(self.base.covariance_layers)

    @property
    def image_layers(self) -> tuple[str, ...]:
        """Those made from layers that keep one row per image; the last one where that is none."""
        return self._made_from(self.base.image_layers) or (self.layers.names[-1],)

    @property
    def neuron_names(self) -> dict[str, tuple[str, ...]]:
        """None: the names are those of the neurons that it is made of."""
        return {}

    def _made_from(self, chosen: Sequence[str]) -> tuple[str, ...]:
        names, places = self.base.layers.names, self.made.sources
        return tuple(name for name, place in zip(self.layers.names, places, strict=True) if names[place] in chosen)

    @property
    def n_calibration_passes(self) -> int:
        """One more for a basis."""
        return 1 + self.view.needs_basis

    def bound(self, ranges: ActivationRanges) -> ViewExtractor:
        """With the maps that are frozen with its ranges.

        Raises:
            ExtractorError: when what an image gives depends on its place in the batch.
        """
        return self.with_basis(ranges.basis) if ranges.basis is not None else self

    def with_basis(self, basis: Basis) -> ViewExtractor:
        """With these maps; see `bound`."""
        maps: list[Map] = []
        for name, place, weights, offsets in zip(
            self.layers.names, self.made.sources, basis.weights, basis.offsets, strict=True
        ):
            if not _rows_are_independent(self.device, self.batch_size, *weights.shape, self.base.positions[place].n):
                raise ExtractorError(
                    f"{self.network.label}, {self.view.name}: what an image gives depends on its place in the batch "
                    f"(in {name}); another batch_size helps: a multiple of 8"
                )
            maps.append((torch.tensor(weights, device=self.device), torch.tensor(offsets, device=self.device)[:, None]))
        return replace(self, maps=tuple(maps))

    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """See `Extractor.run`; `sink` receives (n_images, n_neurons, n_positions) of every layer of the view."""
        made_of: list[list[int]] = [[] for _ in self.base.layers]
        for place, source in enumerate(self.made.sources):
            made_of[source].append(place)

        def seen(index: int, output: torch.Tensor) -> None:
            for place in made_of[index]:
                sink(place, self._make(place, neurons_second(output, self.base.axes[index])))

        self.base.run(inputs, seen)

    def _make(self, place: int, values: torch.Tensor) -> torch.Tensor:
        """One layer of the view from the layer it is made of, both (n_images, n_neurons, n_positions)."""
        if not self.made.cells:
            return mapped(values, *self.maps[place])
        at, (rows, columns) = self.base.positions[self.made.sources[place]], self.made.cells[place]
        if at.grid is None:
            raise ValueError("a layer without a grid has no cells")
        plane = values[:, :, at.n_before :].reshape(*values.shape[:2], *at.grid)
        return plane[:, :, rows, columns].flatten(2)


def view_of(base: Extractor, view: View) -> ViewExtractor:
    """A view of an extractor. A linear one has to be bound to its basis before it runs.

    Raises:
        ExtractorError: when no layer has what the view shows.
    """
    made = layers_of_view(view, base.layers, base.positions, base.network.label)
    shared = {field.name: getattr(base, field.name) for field in fields(Extractor)}
    # What comes out has neurons second already, and its positions mean nothing any more.
    own: dict[str, Any] = {"layers": made.layers, "axes": (1,) * len(made.layers), "positions": ()}
    return ViewExtractor(**{**shared, **own}, base=base, view=view, made=made)


def mapped(values: torch.Tensor, weights: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """W x + b at every position.

    One product for each image, all of one shape, because what an image gives must not depend on its place in the
    batch. In float32, also where the network runs in bfloat16. A value that is not finite makes everything at its
    position so.

    Args:
        values: (n_images, n_neurons, n_positions).
        weights: (n_outputs, n_neurons).
        offsets: (n_outputs, 1).
    """
    n_images, _, n_positions = values.shape
    with torch.autocast(values.device.type, enabled=False):
        every = (offsets.expand(n_images, -1, -1), weights.expand(n_images, -1, -1))
        # To whole cache lines: some processors' kernels add up in another order where a matrix begins inside one.
        aligned = pad(values.float(), (0, -n_positions % _LINE)).contiguous()
        return torch.baddbmm(*every, aligned)[..., :n_positions]


@lru_cache(maxsize=256)
def _rows_are_independent(device: str, batch_size: int, n_outputs: int, n_neurons: int, n_positions: int) -> bool:
    """Whether a map of this shape gives an image the same bits at both ends of two different batches."""
    generator, found = torch.Generator().manual_seed(1), []
    weights = torch.randn(n_outputs, n_neurons, generator=generator).to(device)
    image = torch.randn(n_neurons, n_positions, generator=generator)
    with reproducible():
        for place in (0, batch_size - 1):
            values = torch.randn(batch_size, n_neurons, n_positions, generator=generator)
            values[place] = image
            found.append(mapped(values.to(device), weights, torch.zeros(n_outputs, 1, device=device))[place])
    return torch.equal(*found)
