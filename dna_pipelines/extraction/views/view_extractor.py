"""Views: extractors whose (virtual) neurons are made from those of a network, by fixed linear maps or cell by cell.

Folding, merging and comparing treat virtual neurons like others, and a view has keys, activation ranges and DNAs of
its own.
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
"""The version of the rules by which a view is made, which changes when a setting gets another meaning."""

_CACHE_LINE = 16
"""float32 values in a cache line of 64 bytes."""

Map = tuple[torch.Tensor, torch.Tensor]
"""Weights (n_outputs, n_neurons) and offsets (n_outputs, 1)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewExtractor(Extractor):
    """An extractor whose neurons are made from those of another extractor.

    Attributes:
        base: the extractor of the network.
        view: the view of the datasets file.
        made: which layer is made from which.
        maps: for each layer of a linear view, its map on the device; empty until `bound` sets them.
    """

    base: Extractor
    view: View
    made: ViewLayers
    maps: tuple[Map, ...] = ()

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of the network, and the view."""
        view = {"kind": self.view.kind, "n": self.view.n, "layers": self.layers.key(), "rules": _RULES}
        return {**self.base.parts, "view": view}

    @property
    def covariance_layers(self) -> tuple[str, ...]:
        """The layers made from layers that keep a covariance; none in a spatial view, which has too many layers."""
        return () if self.made.cells else self._made_from(self.base.covariance_layers)

    @property
    def image_layers(self) -> tuple[str, ...]:
        """The layers made from layers that keep features of images; the last one if there are none."""
        return self._made_from(self.base.image_layers) or (self.layers.names[-1],)

    @property
    def neuron_names(self) -> dict[str, tuple[str, ...]]:
        """Empty: names describe the neurons of the network, not virtual ones."""
        return {}

    def _made_from(self, chosen: Sequence[str]) -> tuple[str, ...]:
        names, sources = self.base.layers.names, self.made.sources
        return tuple(name for name, index in zip(self.layers.names, sources, strict=True) if names[index] in chosen)

    @property
    def n_calibration_passes(self) -> int:
        """One more than that of the network if the view needs a basis."""
        return 1 + self.view.needs_basis

    def bound(self, ranges: ActivationRanges) -> ViewExtractor:
        """The view with the maps that are frozen with its activation ranges.

        Raises:
            ExtractorError: `network.depends-on-batch` when the activations of an image depend on its row in the batch.
        """
        return self.with_basis(ranges.basis) if ranges.basis is not None else self

    def with_basis(self, basis: Basis) -> ViewExtractor:
        """The view with these maps; see `bound`."""
        maps: list[Map] = []
        for name, source, weights, offsets in zip(
            self.layers.names, self.made.sources, basis.weights, basis.offsets, strict=True
        ):
            if not _rows_are_independent(self.device, self.batch_size, *weights.shape, self.base.positions[source].n):
                raise ExtractorError(
                    f"{self.network.label}, {self.view.name}: the activations of an image in {name} depend on its row "
                    "in the batch; set batch_size to a multiple of 8",
                    code="network.depends-on-batch",
                    network=self.network.label,
                    view=self.view.name,
                    layers=[name],
                    batch_size=self.batch_size,
                )
            maps.append((torch.tensor(weights, device=self.device), torch.tensor(offsets, device=self.device)[:, None]))
        return replace(self, maps=tuple(maps))

    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """See `Extractor.run`; `sink` receives (n_images, n_neurons, n_positions) of every layer of the view."""
        made_from: list[list[int]] = [[] for _ in self.base.layers]
        for index, source in enumerate(self.made.sources):
            made_from[source].append(index)

        def make_layers(source: int, output: torch.Tensor) -> None:
            for index in made_from[source]:
                sink(index, self._make(index, neurons_second(output, self.base.axes[source])))

        self.base.run(inputs, make_layers)

    def _make(self, index: int, values: torch.Tensor) -> torch.Tensor:
        """One layer of the view from the layer that it is made from, both (n_images, n_neurons, n_positions)."""
        if not self.made.cells:
            return mapped(values, *self.maps[index])
        at, (rows, columns) = self.base.positions[self.made.sources[index]], self.made.cells[index]
        if at.grid is None:
            raise ValueError("a layer without a grid has no cells")
        plane = values[:, :, at.n_before :].reshape(*values.shape[:2], *at.grid)
        return plane[:, :, rows, columns].flatten(2)


def view_of(base: Extractor, view: View) -> ViewExtractor:
    """A view of an extractor. A linear view runs only after `bound` has set its maps.

    Raises:
        ExtractorError: `network.view-without-layers` or `network.view-names-clash`.
    """
    made = layers_of_view(view, base.layers, base.positions, base.network.label)
    shared = {field.name: getattr(base, field.name) for field in fields(Extractor)}
    # The outputs already have neurons second, and their positions have no grid.
    own: dict[str, Any] = {"layers": made.layers, "axes": (1,) * len(made.layers), "positions": ()}
    return ViewExtractor(**{**shared, **own}, base=base, view=view, made=made)


def mapped(values: torch.Tensor, weights: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """W x + b at every position.

    One product for each image, all of one shape, so that the result of an image does not depend on its row in the
    batch. In float32, even if the network runs in bfloat16. A value that is not finite makes all results at its
    position not finite.

    Args:
        values: (n_images, n_neurons, n_positions).
        weights: (n_outputs, n_neurons).
        offsets: (n_outputs, 1).
    """
    n_images, _, n_positions = values.shape
    with torch.autocast(values.device.type, enabled=False):
        expanded = (offsets.expand(n_images, -1, -1), weights.expand(n_images, -1, -1))
        # Padded to whole cache lines: some processors' kernels sum in another order if a matrix begins inside one.
        aligned = pad(values.float(), (0, -n_positions % _CACHE_LINE)).contiguous()
        return torch.baddbmm(*expanded, aligned)[..., :n_positions]


@lru_cache(maxsize=256)
def _rows_are_independent(device: str, batch_size: int, n_outputs: int, n_neurons: int, n_positions: int) -> bool:
    """Whether a map of this shape gives an image the same bits at both ends of two different batches."""
    generator, results = torch.Generator().manual_seed(1), []
    weights = torch.randn(n_outputs, n_neurons, generator=generator).to(device)
    image = torch.randn(n_neurons, n_positions, generator=generator)
    with reproducible():
        for row in (0, batch_size - 1):
            values = torch.randn(batch_size, n_neurons, n_positions, generator=generator)
            values[row] = image
            results.append(mapped(values.to(device), weights, torch.zeros(n_outputs, 1, device=device))[row])
    return torch.equal(*results)
