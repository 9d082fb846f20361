"""Folding on an accelerator: the same counts as `distributions.fold`, without copying activations to the host.

No operation waits for the device: no result has a size that depends on the data, and the features of images stay on
the device until the shard is complete.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.distributions import COARSE_BINS, Binning, Blocks, Histogram
from dna_pipelines.distributions.fold import require_room
from dna_pipelines.identity import N_BLOCKS

COARSE_WIDTH = COARSE_BINS + 1
"""Coarse bins of a block, and one more for NaN."""


class FoldKernelWarning(UserWarning):
    """The fused folding kernel cannot be used on a GPU; the results are the same without it, but folding is slower."""


FoldLayer = Callable[["DeviceFold", slice, torch.Tensor, slice], None]
"""Adds the activations of one layer to a fold; see `DeviceFold.add`."""

_MAX_VALUES = 4_000_000
"""The most values that torch's operations take at once: each needs about 40 bytes of temporary memory."""


_LIMIT = 2**31


class DeviceFold:
    """Counts held on the device; no loop over neurons.

    The same arguments and results as `distributions.fold.Fold`, with tensors for activations.

    Attributes:
        counts: (n_neurons, n_bins + 3) int32: below the range, the bins, above it, NaN.
        blocks: (n_neurons, n_present, COARSE_WIDTH) int32, only of blocks that occur.
        slots: (n_images,) the index in `blocks` of an image's block.
        pooled: (n_images, n_neurons) float64 means over positions.
        n_zero, minimum, maximum: (n_neurons,).
    """

    def __init__(
        self, binning: Binning, blocks: NDArray[np.integer], device: str, fold_layer: FoldLayer | None = None
    ) -> None:
        n_neurons = len(binning.lo)
        self.n_bins = binning.n_bins
        self.lo, self.scale = _sent(binning.lo, device), _sent(binning.scale, device)
        coarse = np.concatenate([np.pad(binning.coarse_of, 1, mode="edge"), [COARSE_BINS]]).astype(np.int64)
        self.coarse_of = _sent(coarse, device)
        self._present, slots = np.unique(np.asarray(blocks, np.int64), return_inverse=True)
        self._host_slots, self.slots = slots, _sent(slots, device)
        self.counts = torch.zeros((n_neurons, binning.n_bins + 3), dtype=torch.int32, device=device)
        shape = (n_neurons, len(self._present), COARSE_WIDTH)
        self.blocks = torch.zeros(shape, dtype=torch.int32, device=device)
        self.n_zero = torch.zeros(n_neurons, dtype=torch.int32, device=device)
        self.minimum = torch.full((n_neurons,), torch.inf, device=device)
        self.maximum = torch.full((n_neurons,), -torch.inf, device=device)
        self.pooled = torch.zeros((len(slots), n_neurons), dtype=torch.float64, device=device)
        self._filled = np.zeros(len(slots), bool)
        self._n_values = np.zeros(n_neurons, np.int64)
        self._fold_layer = fold_layer or fold_layer_for(device)

    def add(self, part: slice, values: torch.Tensor, images: slice) -> None:
        """See `Fold.add`; `values` is a float32 tensor on the device, and means are kept until the end.

        Raises:
            ValueError: when there is no position.
            UserError: beyond 2**31 values of one neuron.
        """
        if not values.shape[2]:
            raise ValueError(f"activations of shape {tuple(values.shape)} have no position to fold")
        self._n_values[part] += values.shape[0] * values.shape[2]
        require_room(self._n_values[part], _LIMIT)
        self._filled[images] = True
        self._fold_layer(self, part, values, images)

    def merge(self, other: DeviceFold) -> None:
        """See `Fold.merge`; the other one may be on another device, so both are copied to the host.

        Raises:
            UserError: as `add`, of both together.
        """
        self._n_values = self._n_values + other._n_values
        require_room(self._n_values, _LIMIT)
        # Not in place: tensors made in inference mode must not be updated outside of it.
        self.counts = self.counts.cpu() + other.counts.cpu()
        self.blocks = self.blocks.cpu() + other.blocks.cpu()
        self.n_zero = self.n_zero.cpu() + other.n_zero.cpu()
        self.minimum = torch.minimum(self.minimum.cpu(), other.minimum.cpu())
        self.maximum = torch.maximum(self.maximum.cpu(), other.maximum.cpu())

    def pooled_into(self, rows: NDArray[np.float64]) -> None:
        """Write the means of the images of this fold, in one copy from the device."""
        rows[self._filled] = self.pooled.cpu().numpy()[self._filled]

    def histogram(self) -> Histogram:
        """The counts as a measure."""
        placed = self.counts.cpu().numpy().astype(np.uint64)
        counts = placed[:, 1 : self.n_bins + 1].copy()
        low, high, n_nan = placed[:, 0].copy(), placed[:, self.n_bins + 1].copy(), placed[:, -1].copy()
        counts[:, 0] += low
        counts[:, -1] += high
        extremes = (self.minimum.cpu().numpy(), self.maximum.cpu().numpy())
        n_zero = self.n_zero.cpu().numpy().astype(np.uint64)
        return Histogram(counts, counts.sum(axis=1), low, high, n_zero, n_nan, *extremes)

    def block_counts(self) -> Blocks:
        """The coarse counts as a measure."""
        counts = np.zeros((len(self.blocks), N_BLOCKS, COARSE_BINS), np.uint64)
        counts[:, self._present] = self.blocks.cpu().numpy()[..., :COARSE_BINS]
        n_images = np.bincount(self._present[self._host_slots], minlength=N_BLOCKS).astype(np.uint64)
        return Blocks(counts, n_images)


def _sent(values: NDArray[Any], device: str) -> torch.Tensor:
    """Copy to the device through its queue: waiting for the copy would wait for everything queued before it."""
    return torch.tensor(values, pin_memory=device != "cpu").to(device, non_blocking=True)


def fold_with_torch(fold: DeviceFold, part: slice, values: torch.Tensor, images: slice) -> None:
    """Fold one layer with torch's own operations, some images at a time to bound memory."""
    n_images, n_neurons, n_positions = values.shape
    step = max(1, _MAX_VALUES // max(1, n_neurons * n_positions))
    for start in range(0, n_images, step):
        chunk = values[start : start + step]
        first = images.start + start
        _fold_chunk(fold, part, chunk, slice(first, first + len(chunk)))


def _fold_chunk(fold: DeviceFold, part: slice, values: torch.Tensor, images: slice) -> None:
    n_neurons = values.shape[1]
    column = _column(fold, part, values)
    neuron = torch.arange(n_neurons, device=values.device)[:, None]
    # Not `bincount`, which reads the largest value from the device and so waits for it.
    one = torch.ones((), dtype=torch.int32, device=values.device)
    flat = (column + neuron * fold.counts.shape[1]).reshape(-1)
    fold.counts[part].view(-1).scatter_add_(0, flat, one.expand(flat.shape))
    row = (part.start + neuron) * fold.blocks.shape[1] + fold.slots[images][:, None, None]
    flat = (row * COARSE_WIDTH + fold.coarse_of[column]).reshape(-1)
    fold.blocks.view(-1).scatter_add_(0, flat, one.expand(flat.shape))
    fold.n_zero[part] += (values == 0).sum((0, 2), dtype=torch.int32)
    missing = values.isnan()
    low, high = (values.masked_fill(missing, bound) for bound in (torch.inf, -torch.inf))
    fold.minimum[part] = torch.minimum(fold.minimum[part], low.amin((0, 2)))
    fold.maximum[part] = torch.maximum(fold.maximum[part], high.amax((0, 2)))
    fold.pooled[images, part] = values.double().mean(2)


def _column(fold: DeviceFold, part: slice, values: torch.Tensor) -> torch.Tensor:
    """The column of `DeviceFold.counts` for each value: bin + 1; 0 below the range, n_bins + 1 above, n_bins + 2 NaN.

    Computed in float64, as on the CPU, or values next to an edge would fall into other bins. These are two
    operations per value, which even GPUs made for float32 do in a fraction of the time that reading the value takes.
    """
    n_bins = fold.n_bins
    t = (values.double() - fold.lo[part, None]) * fold.scale[part, None]
    column = t.clamp(0, n_bins - 1).nan_to_num(0).to(torch.int64) + 1
    column = torch.where(t < 0, 0, column)
    column = torch.where(t > n_bins, n_bins + 1, column)
    return torch.where(values.isnan(), n_bins + 2, column)


def fold_key(device: str) -> dict[str, str]:
    """What folding on a device adds to the compute key: the order in which means are summed; nothing on a CPU."""
    if not device.startswith("cuda"):
        return {}
    return {"fold": f"triton {version('triton')}" if find_spec("triton") else "torch"}


@lru_cache(maxsize=64)
def fold_layer_for(device: str) -> FoldLayer:
    """The faster of the fused kernels on a GPU, else torch's operations.

    Kernels need Triton, which torch for CUDA installs. Once per process, they are compared with torch's operations on
    that device.
    """
    if not device.startswith("cuda") or find_spec("triton") is None:
        return fold_with_torch
    try:
        from dna_pipelines.extraction.devices.device_kernel import fold_by_tiles, fold_by_values

        if correct := [kernel for kernel in (fold_by_values, fold_by_tiles) if agrees_with_torch(kernel, device)]:
            return min(correct, key=partial(_seconds, device=device))
        problem = "gives other counts than torch's operations"
    # Compilers raise exceptions of many classes, and the fold works without this one.
    except Exception as error:  # noqa: BLE001
        problem = f"cannot be built ({type(error).__name__}: {error})"
    message = f"the folding kernel {problem} on {device}; folding uses torch's operations instead, which are slower"
    warnings.warn(message, FoldKernelWarning, stacklevel=2)
    return fold_with_torch


def agrees_with_torch(fold_layer: FoldLayer, device: str) -> bool:
    """Whether a function folds to the counts of torch's operations, for values of every kind."""
    rng = np.random.default_rng(0)
    few = rng.normal(0, 1, (6, 5, 300)).astype(np.float32)
    few[:, 0, ::7] = 0.0
    few[:, 1, ::5] = np.array([np.nan, np.inf, -np.inf, 1.0, -1.0, 9.0], np.float32)[:, None]
    # Large enough that a program of the kernel takes several images, and an image several tiles.
    many = rng.normal(0, 1, (70, 64, 520)).astype(np.float32)
    return _agree(fold_layer, device, few) and _agree(fold_layer, device, many)


def _agree(fold_layer: FoldLayer, device: str, values: NDArray[np.float32]) -> bool:
    n_images, n_neurons, _ = values.shape
    blocks, part = np.array([3, 9, 3, 60, 9, 9])[np.arange(n_images) % 6], slice(1, n_neurons + 1)
    binning, results = Binning(np.full(n_neurons + 2, -1.0), np.full(n_neurons + 2, 1.0)), []
    for function in (fold_with_torch, fold_layer):
        fold = DeviceFold(binning, blocks, device, function)
        conv = torch.from_numpy(values).to(device)
        tokens = conv.transpose(1, 2).contiguous().transpose(1, 2)
        fold.add(part, conv, slice(0, n_images))
        fold.add(part, tokens[1:4], slice(1, 4))
        results.append(fold)
    expected, actual = results
    names = ("counts", "blocks", "n_zero", "minimum", "maximum")
    same = all(torch.equal(getattr(expected, name), getattr(actual, name)) for name in names)
    return same and torch.allclose(expected.pooled, actual.pooled, rtol=1e-12, equal_nan=True)


def _seconds(fold_layer: FoldLayer, device: str) -> float:
    """The seconds that a function takes to fold one layer of a vision transformer."""
    n_images, n_neurons, n_positions, times = 64, 768, 197, 5
    values = torch.randn(n_images, n_positions, n_neurons, device=device).transpose(1, 2)
    binning = Binning(np.full(n_neurons, -5.0), np.full(n_neurons, 5.0))
    fold = DeviceFold(binning, np.arange(n_images), device, fold_layer)

    def repeated() -> float:
        started = time.perf_counter()
        for _ in range(times):
            fold.add(slice(0, n_neurons), values, slice(0, n_images))
        torch.cuda.synchronize(device)
        return time.perf_counter() - started

    # The first measurement includes compiling for these shapes.
    return (repeated(), repeated())[1] / times
