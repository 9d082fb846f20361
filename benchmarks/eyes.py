"""Extractors side by side on arrays of pixels: the embedded one, and what it has to be better than."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dna_pipelines.comparison import emd_bins
from dna_pipelines.distributions import Binning
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import UnknownName
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.loading.registry import find_network
from dna_pipelines.extraction.networks.builtin import NAME, PREPROCESSING, TAPS, network_from
from dna_pipelines.extraction.networks.formula_net import FormulaNet
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.stream.lanes import neurons_second

PIXELS, RANDOM, SCATTERING = "pixels only", "random weights", "scattering"
_BATCH = 16


class Eye:
    """An extractor that looks at uint8 images of its own size.

    Args:
        name: what it is called here.
        network: what it is.
        images: (n, px, px, 3) that its ranges are calibrated on, where it brings none.
    """

    def __init__(self, name: str, network: Network, images: np.ndarray) -> None:
        self.name = name
        self.extractor = probe(network, batch_size=_BATCH)
        self.ranges: ActivationRanges | None = self.extractor.own_ranges
        self.binning: Binning = self.ranges.binning if self.ranges else self._calibrated(images)

    def each(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """The counts of every single image, (n_neurons, n_bins)."""
        for batch in self.batches(images):
            for row in range(len(batch[0][1])):
                fold = Fold(self.binning, np.zeros(1, int))
                for part, values in batch:
                    one = values[row : row + 1]
                    fold.add(part, one, slice(0, 1), np.empty((1, one.shape[1])))
                yield fold.histogram().counts

    def counts(self, images: np.ndarray) -> np.ndarray:
        """The counts of all of them, (n_neurons, n_bins)."""
        return self.histogram(images).counts

    def histogram(self, images: np.ndarray):
        fold = Fold(self.binning, np.zeros(len(images), int))
        start = 0
        for batch in self.batches(images):
            n = len(batch[0][1])
            for part, values in batch:
                fold.add(part, values, slice(start, start + n), np.empty((n, values.shape[1])))
            start += n
        return fold.histogram()

    def _calibrated(self, images: np.ndarray) -> Binning:
        n_neurons = self.extractor.layers.n_neurons
        low, high = np.full(n_neurons, np.inf, np.float32), np.full(n_neurons, -np.inf, np.float32)
        for batch in self.batches(images):
            for part, values in batch:
                low[part] = np.minimum(low[part], values.min((0, 2)))
                high[part] = np.maximum(high[part], values.max((0, 2)))
        return Binning.from_observed(low, high, self.extractor.layers)

    def batches(self, images: np.ndarray) -> Iterator[list[tuple[slice, np.ndarray]]]:
        """By batch, the neurons of every layer as a slice, and its activations, (n, n_neurons, n_positions)."""
        prepare, parts = self.extractor.network.preprocessing, list(self.extractor.layers.slices.values())
        with reproducible():
            for start in range(0, len(images), _BATCH):
                inputs = torch.from_numpy(np.stack([prepare(image) for image in images[start : start + _BATCH]]))
                batch: list[tuple[slice, np.ndarray]] = []

                def sink(index: int, output: torch.Tensor, batch: list[tuple[slice, np.ndarray]] = batch) -> None:
                    values = neurons_second(output, self.extractor.axes[index]).float()
                    batch.append((parts[index], values.clone().numpy()))

                self.extractor.run(inputs, sink)
                yield batch


def emd(a: np.ndarray, b: np.ndarray) -> float:
    """The mean EMD of all neurons, in bins."""
    return float(emd_bins(a, b).mean())


def open_eyes(images: np.ndarray, weights: Path | None = None) -> list[Eye]:
    """Everything that is compared.

    Args:
        images: to calibrate those on that bring no ranges: the very images of the check, which is to their advantage.
        weights: a folder with other files of the embedded extractor, such as those of a training under way.
    """
    networks = {PIXELS: _pixels(), RANDOM: _random()}
    try:
        networks[SCATTERING] = find_network(SCATTERING, Path())
    except UnknownName:
        print("no extractor 'scattering' here; its rows are left out")
    networks[NAME] = network_from(weights) if weights else find_network(NAME, Path())
    return [Eye(name, network, images) for name, network in networks.items()]


def _pixels() -> Network:
    module = nn.Sequential(nn.Identity())
    return Network("pixels", module, PREPROCESSING, ("0",), "", "pixels/1", "none", "red, green and blue")


def _random(seed: int = 0) -> Network:
    """The embedded architecture as it is before training: He-normal weights, no biases."""
    generator = torch.Generator().manual_seed(seed)
    module = FormulaNet()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
            else:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
    return Network("random", module, PREPROCESSING, TAPS, "", "random/1", "none", "for benchmarks")
