"""A network's own neurons and its linear views, from activations in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.protocols.textures import counts_of_images
from dna_pipelines.config import View
from dna_pipelines.distributions import Binning, Covariance, Layer, Layers, Moments
from dna_pipelines.dna.basis import main_components, random_directions
from dna_pipelines.extraction.views.view_extractor import mapped

NEURONS, PROJECTED, WHITENED = "neurons", "projected", "whitened"


class Viewed:
    """What some layers look like by themselves and through views, with everything fixed on calibration images.

    Args:
        names: of the layers.
        calibration: of each layer, (n_images, n_neurons, n_positions); nothing, where there are no views to fix.
        kinds: of views.
        own: the binning of each layer's neurons, where there is one already.
    """

    def __init__(
        self,
        names: Sequence[str],
        calibration: list[np.ndarray],
        kinds: Sequence[str] = (PROJECTED, WHITENED),
        own: list[Binning] | None = None,
    ) -> None:
        self._maps: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        for kind in kinds:
            n = View.parse(kind).n
            self._maps[kind] = []
            for name, values in zip(names, calibration, strict=True):
                rows = values.transpose(0, 2, 1).reshape(-1, values.shape[1]).astype(float)
                if kind == WHITENED:
                    w, b = main_components(n, Covariance.of(rows))
                else:
                    w, b = random_directions(name, n, Moments.of(rows, Layers((Layer("x", rows.shape[1]),))))
                self._maps[kind].append((torch.tensor(w).float(), torch.tensor(b).float()[:, None]))
        self.kinds = (NEURONS, *kinds)
        self._binnings = {kind: [_binning(values) for values in self.see(kind, calibration)] for kind in kinds}
        self._binnings[NEURONS] = own or [_binning(values) for values in calibration]

    def see(self, kind: str, layers: list[np.ndarray]) -> list[np.ndarray]:
        """The virtual neurons of each layer; the layers themselves for `neurons`."""
        if kind == NEURONS:
            return layers
        return [mapped(torch.from_numpy(v), *one).numpy() for v, one in zip(layers, self._maps[kind], strict=True)]

    def measured(self, kind: str, layers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of each image, coarse counts (n_images, n_all_neurons, COARSE_BINS) uint16, and means over positions."""
        seen = [
            counts_of_images(*arguments) for arguments in zip(self._binnings[kind], self.see(kind, layers), strict=True)
        ]
        counts, means = (np.concatenate(column, axis=1) for column in zip(*seen, strict=True))
        return counts, means

    def cumulative(self, kind: str, layers: list[np.ndarray]) -> np.ndarray:
        """(n_images, n_all_neurons * bins): each image's cumulative distribution, neuron by neuron."""
        summed = self.measured(kind, layers)[0].cumsum(axis=2, dtype=np.float32)
        return (summed / summed[..., -1:]).reshape(len(summed), -1)


def _binning(values: np.ndarray) -> Binning:
    low, high = values.min(axis=(0, 2)), values.max(axis=(0, 2))
    return Binning.from_observed(low, high, Layers((Layer("x", len(low)),)))
