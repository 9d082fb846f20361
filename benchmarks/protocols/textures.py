"""Families of synthetic textures, and their activations without files and decoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from dna_pipelines.distributions import COARSE_BINS, Binning
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.taps import neurons_second
from dna_pipelines.identity import N_BLOCKS


@dataclass(frozen=True)
class Family:
    """Coloured noise with a power spectrum of its own; every image varies about the family's values.

    Attributes:
        slope: how fast the spectrum falls: fine grain to clouds.
        stretch: of the spectrum along one direction: isotropic at 0.
        colour: how far the three channels differ.
        contrast: standard deviation of a channel.
    """

    slope: float = 1.5
    stretch: float = 0.0
    colour: float = 0.5
    contrast: float = 0.18

    def batches(self, n_images: int, size_px: int, seed: int, batch: int = 32) -> Iterator[torch.Tensor]:
        """Images as (batch, 3, size_px, size_px) in [0, 1]; a beginning of the same seed is the same."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.fft.fftfreq(size_px)[:, None]
        columns = torch.fft.rfftfreq(size_px)[None]
        for _ in range(0, n_images, batch):
            noise = torch.fft.rfft2(torch.randn(batch, 4, size_px, size_px, generator=generator))
            own = torch.randn(batch, 5, 1, 1, 1, generator=generator)
            frequency = (rows**2 * (1 + (self.stretch + 0.2 * own[:, 0]).exp()) + columns**2).sqrt() + 0.5 / size_px
            shaped = torch.fft.irfft2(noise * frequency ** -(self.slope + 0.15 * own[:, 1]), s=(size_px, size_px))
            shaped = shaped / shaped.std(dim=(2, 3), keepdim=True)
            mixed = shaped[:, :1] + self.colour * shaped[:, 1:]
            mixed = mixed / mixed.std(dim=(2, 3), keepdim=True)
            level = 0.5 + 0.08 * own[:, 2] + 0.04 * own[:, 3] * torch.tensor([-1.0, 0.0, 1.0])[:, None, None]
            yield (level + self.contrast * (0.15 * own[:, 4]).exp() * mixed).clamp(0, 1)


def activations(extractor: Extractor, family: Family, n_images: int, seed: int) -> Iterator[dict[int, np.ndarray]]:
    """Batch by batch, by index of the layer, (batch, n_neurons, n_positions)."""
    prepare = extractor.network.preprocessing
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (prepare.mean, prepare.std))
    with reproducible():
        for images in family.batches(n_images, prepare.size_px, seed):
            outputs: dict[int, np.ndarray] = {}

            def sink(index: int, output: torch.Tensor, outputs=outputs) -> None:
                outputs[index] = neurons_second(output, extractor.axes[index]).float().numpy().copy()

            extractor.run((images - mean) / std, sink)
            yield outputs


def counts_of_images(binning: Binning, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coarse counts of each image (n_images, n_neurons, COARSE_BINS) uint16, and means over positions.

    Args:
        binning: of the neurons.
        values: (n_images, n_neurons, n_positions).
    """
    n_images, n_neurons, _ = values.shape
    counts = np.empty((n_images, n_neurons, COARSE_BINS), np.uint16)
    pooled = np.empty((n_images, n_neurons))
    for start in range(0, n_images, N_BLOCKS):
        some = values[start : start + N_BLOCKS]
        # A block for each image.
        fold = Fold(binning, np.arange(len(some)))
        fold.add(slice(0, n_neurons), some, slice(0, len(some)), pooled[start : start + N_BLOCKS])
        counts[start : start + N_BLOCKS] = fold.block_counts().counts[:, : len(some)].transpose(1, 0, 2)
    return counts, pooled


def wilson_interval(n_hits: int, n_trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson, 1927)."""
    share, z = n_hits / n_trials, 1.96
    centre = (share + z**2 / (2 * n_trials)) / (1 + z**2 / n_trials)
    half = z / (1 + z**2 / n_trials) * (share * (1 - share) / n_trials + z**2 / (4 * n_trials**2)) ** 0.5
    return max(centre - half, 0), min(centre + half, 1)


def wilson(n_hits: int, n_trials: int) -> str:
    """A share with its 95 % confidence interval."""
    low, high = wilson_interval(n_hits, n_trials)
    return f"{n_hits / n_trials:.1%} ({low:.1%} to {high:.1%})"
