"""Folding on an accelerator: the same counts as `distributions.fold`, without leaving the device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.distributions import COARSE_BINS, Binning, Blocks, Histogram
from dna_pipelines.identity import N_BLOCKS


class DeviceFold:
    """Counts held on the device; one `bincount` a layer, no loop over neurons.

    The same arguments and results as `distributions.fold.Fold`, with tensors for activations.
    """

    def __init__(self, binning: Binning, blocks: NDArray[np.integer], device: str) -> None:
        n_neurons = len(binning.lo)
        self._n_bins, self._device = binning.n_bins, device
        # Below the range, the bins, above it, NaN.
        self._width = binning.n_bins + 3
        self._lo = torch.from_numpy(binning.lo).to(device)[:, None]
        self._scale = torch.from_numpy(binning.scale).to(device)[:, None]
        coarse = np.concatenate([np.pad(binning.coarse_of, 1, mode="edge"), [COARSE_BINS]]).astype(np.int64)
        self._coarse_of = torch.from_numpy(coarse).to(device)
        self._present, slots = np.unique(np.asarray(blocks, np.int64), return_inverse=True)
        self._host_slots, self._slots = slots, torch.from_numpy(slots).to(device)
        self._counts = torch.zeros((n_neurons, self._width), dtype=torch.int64, device=device)
        shape = (len(self._present), n_neurons, COARSE_BINS + 1)
        self._blocks = torch.zeros(shape, dtype=torch.int64, device=device)
        self._n_zero = torch.zeros(n_neurons, dtype=torch.int64, device=device)
        self._minimum = torch.full((n_neurons,), torch.inf, device=device)
        self._maximum = torch.full((n_neurons,), -torch.inf, device=device)

    def add(self, part: slice, values: torch.Tensor, images: slice, pooled: NDArray[np.float64]) -> None:
        """See `Fold.add`; `values` is a tensor on the device."""
        n_neurons = values.shape[1]
        place = self._place(part, values)
        neuron = torch.arange(n_neurons, device=self._device)[:, None]
        flat = (place + neuron * self._width).reshape(-1)
        self._counts[part] += torch.bincount(flat, minlength=n_neurons * self._width).view(n_neurons, -1)
        slot = self._slots[images][:, None, None] * n_neurons + neuron
        flat = (slot * (COARSE_BINS + 1) + self._coarse_of[place]).reshape(-1)
        shape = (len(self._present), n_neurons, COARSE_BINS + 1)
        self._blocks[:, part] += torch.bincount(flat, minlength=int(np.prod(shape))).view(shape)
        self._n_zero[part] += (values == 0).sum((0, 2))
        missing = values.isnan()
        low, high = (values.masked_fill(missing, bound) for bound in (torch.inf, -torch.inf))
        self._minimum[part] = torch.minimum(self._minimum[part], low.amin((0, 2)))
        self._maximum[part] = torch.maximum(self._maximum[part], high.amax((0, 2)))
        pooled[:] = values.double().mean(2).cpu().numpy()

    def merge(self, other: DeviceFold) -> None:
        """See `Fold.merge`."""
        # Not in place: tensors made in inference mode must not be updated outside of it.
        self._counts = self._counts + other._counts
        self._blocks = self._blocks + other._blocks
        self._n_zero = self._n_zero + other._n_zero
        self._minimum = torch.minimum(self._minimum, other._minimum)
        self._maximum = torch.maximum(self._maximum, other._maximum)

    def histogram(self) -> Histogram:
        """The counts as a measure."""
        placed = self._counts.cpu().numpy().astype(np.uint64)
        counts = placed[:, 1 : self._n_bins + 1].copy()
        low, high, n_nan = placed[:, 0].copy(), placed[:, self._n_bins + 1].copy(), placed[:, -1].copy()
        counts[:, 0] += low
        counts[:, -1] += high
        extremes = (self._minimum.cpu().numpy(), self._maximum.cpu().numpy())
        n_zero = self._n_zero.cpu().numpy().astype(np.uint64)
        return Histogram(counts, counts.sum(axis=1), low, high, n_zero, n_nan, *extremes)

    def block_counts(self) -> Blocks:
        """The coarse counts as a measure."""
        counts = np.zeros((self._blocks.shape[1], N_BLOCKS, COARSE_BINS), np.uint64)
        counts[:, self._present] = self._blocks.cpu().numpy()[..., :COARSE_BINS].transpose(1, 0, 2)
        n_images = np.bincount(self._present[self._host_slots], minlength=N_BLOCKS).astype(np.uint64)
        return Blocks(counts, n_images)

    def _place(self, part: slice, values: torch.Tensor) -> torch.Tensor:
        """Bin + 1; 0 below the range, n_bins + 1 above it, n_bins + 2 for NaN."""
        n_bins = self._n_bins
        t = (values.double() - self._lo[part]) * self._scale[part]
        place = t.clamp(0, n_bins - 1).nan_to_num(0).to(torch.int64) + 1
        place = torch.where(t < 0, 0, place)
        place = torch.where(t > n_bins, n_bins + 1, place)
        return torch.where(values.isnan(), n_bins + 2, place)
