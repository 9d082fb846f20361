"""Folding activations into counts on CPUs.

One pass over the activations gives the histogram, the block counts, the extremes and the
means over positions. Integer counts do not depend on the order, so any split of the work agrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions.binning import COARSE_BINS, Binning
from dna_pipelines.distributions.blocks import Blocks
from dna_pipelines.distributions.histogram import Histogram
from dna_pipelines.errors import UserError
from dna_pipelines.identity import N_BLOCKS

_LIMIT = 2**32


def compile_kernels() -> None:
    """Compile the kernels of folding, or load them from numba's cache, before anything is timed: it takes seconds."""
    from dna_pipelines.distributions import fold_kernels

    fold_kernels.compile_kernels()


class Fold:
    """The counts of one set of images, filled layer by layer and batch by batch.

    Args:
        binning: over all neurons.
        blocks: (n_images,) the block of each image; only blocks that occur take memory.
    """

    def __init__(self, binning: Binning, blocks: NDArray[np.integer]) -> None:
        n_neurons = len(binning.lo)
        self._binning = binning
        # One bin more on each side counts what is out of range, so the inner loop has no branch.
        self._coarse_of = np.pad(binning.coarse_of, 1, mode="edge")
        self._counts = np.zeros((n_neurons, binning.n_bins + 2), np.uint32)
        self._present, self._slots = np.unique(np.asarray(blocks, np.int64), return_inverse=True)
        self._blocks = np.zeros((len(self._present), n_neurons, COARSE_BINS), np.uint32)
        self._n_values = np.zeros(n_neurons, np.uint64)
        self._n_zero = np.zeros(n_neurons, np.uint64)
        self._n_nan = np.zeros(n_neurons, np.uint64)
        self._minimum = np.full(n_neurons, np.inf, np.float32)
        self._maximum = np.full(n_neurons, -np.inf, np.float32)

    def add(self, part: slice, values: NDArray[np.float32], images: slice, pooled: NDArray[np.float64]) -> None:
        """Fold the activations of one layer for some images.

        Args:
            part: the layer's slice of all neurons.
            values: (n_images, n_neurons, n_positions) float32, in the memory layout of convolutions or in that
                of tokens (neurons last); what has gaps is copied first.
            images: which of the fold's images these are.
            pooled: (n_images, n_neurons) of the layer, filled with the means over positions.

        Raises:
            ValueError: when there is no position.
            UserError: beyond 2**32 values of one neuron (the counts of a fold are uint32 to
                stay in the cache; those of partials and DNAs are uint64).
        """
        from dna_pipelines.distributions.fold_kernels import fold_rows, fold_tokens

        n_images, _, n_positions = values.shape
        if not n_positions:
            raise ValueError(f"activations of shape {values.shape} have no position to fold")
        self._n_values[part] += np.uint64(n_images * n_positions)
        require_room(self._n_values[part], _LIMIT)
        tokens = values.transpose(0, 2, 1)
        fold, ordered = (fold_tokens, tokens) if _is_of_tokens(tokens) else (fold_rows, values)
        compile_kernels()
        fold(
            np.ascontiguousarray(ordered),
            self._binning.lo[part],
            self._binning.scale[part],
            self._coarse_of,
            self._slots[images],
            self._counts[part],
            self._blocks[:, part],
            self._n_zero[part],
            self._n_nan[part],
            self._minimum[part],
            self._maximum[part],
            pooled,
        )

    def merge(self, other: Fold) -> None:
        """Add what another fold of the same images (other batches of them) has counted.

        Raises:
            UserError: as `add`, of both together.
        """
        require_room(self._n_values + other._n_values, _LIMIT)
        for name in ("_counts", "_blocks", "_n_values", "_n_zero", "_n_nan"):
            mine = getattr(self, name)
            np.add(mine, getattr(other, name), out=mine)
        np.minimum(self._minimum, other._minimum, out=self._minimum)
        np.maximum(self._maximum, other._maximum, out=self._maximum)

    def histogram(self) -> Histogram:
        """The counts as a measure."""
        counts = self._counts[:, 1:-1].astype(np.uint64)
        clipped_low, clipped_high = self._counts[:, 0].astype(np.uint64), self._counts[:, -1].astype(np.uint64)
        counts[:, 0] += clipped_low
        counts[:, -1] += clipped_high
        n_values = self._n_values - self._n_nan
        extremes = (self._minimum.copy(), self._maximum.copy())
        return Histogram(
            counts, n_values, clipped_low, clipped_high, self._n_zero.copy(), self._n_nan.copy(), *extremes
        )

    def block_counts(self) -> Blocks:
        """The coarse counts as a measure."""
        counts = np.zeros((self._blocks.shape[1], N_BLOCKS, COARSE_BINS), np.uint64)
        counts[:, self._present] = self._blocks.transpose(1, 0, 2)
        n_images = np.bincount(self._present[self._slots], minlength=N_BLOCKS).astype(np.uint64)
        return Blocks(counts, n_images)


def _is_of_tokens(tokens: NDArray[np.float32]) -> bool:
    # With one position (or one neuron) both layouts are the same.
    return tokens.shape[1] > 1 and tokens.strides[2] < tokens.strides[1]


def require_room(n_values: NDArray[np.integer], limit: int) -> None:
    """Check that the counts of a fold can hold all values of each neuron.

    Raises:
        UserError: when a neuron has as many values as the limit, or more (`network.too-many-values`).
    """
    most = int(n_values.max(initial=0))
    if most >= limit:
        raise UserError(
            f"a neuron has {most:,} values in one shard, and a shard can hold fewer than {limit:,}; use a smaller "
            "shard_size, or images of fewer pixels",
            code="network.too-many-values",
            n_values=most,
            limit=limit,
        )
