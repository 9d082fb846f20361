"""The inner loop of the whole program: activations to bins, compiled by numba."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np

from dna_pipelines.numba_cache import numba


@cache
def compile_kernels() -> None:
    """Compile the kernels, or load them from numba's cache, before anything is timed: it takes seconds.

    One variant of each: left to itself, numba makes others for arrays that happen to have no gaps (one
    block, one image, one layer), and makes them in the middle of a run.
    """
    with _compiling:
        for kernel in (fold_rows, fold_tokens):
            # Another thread may have been here before this one, and there is nothing to do twice.
            if not kernel.signatures:
                kernel.compile(_ARGUMENTS)
                kernel.disable_compile()


def _array(dtype: Any, ndim: int, layout: Any = "C", *, readonly: bool = False) -> Any:
    return numba.types.Array(dtype, ndim, layout, readonly=readonly)


_compiling = threading.Lock()

_ARGUMENTS: Any = (
    _array(numba.float32, 3, readonly=True),  # values or tokens
    _array(numba.float64, 1, readonly=True),  # lo
    _array(numba.float64, 1, readonly=True),  # scale
    _array(numba.uint8, 1, readonly=True),  # coarse_of
    _array(numba.int64, 1, readonly=True),  # slots
    _array(numba.uint32, 2),  # counts
    _array(numba.uint32, 3, "A"),  # blocks: of some of the neurons
    _array(numba.uint64, 1),  # n_zero
    _array(numba.uint64, 1),  # n_nan
    _array(numba.float32, 1),  # minimum
    _array(numba.float32, 1),  # maximum
    _array(numba.float64, 2, "A"),  # pooled: of some of the neurons
)
"""Of both kernels; "A" may have gaps, and takes what has none as well."""


_TILE = 128
"""Neurons of the token layout that are folded side by side: few enough that their counts stay in the cache."""

_EXACT: Any = {"nogil": True, "cache": True, "error_model": "numpy"}
# Rows with NaN or infinities never reach the loops below that are compiled without regard for them.
_FINITE: Any = {**_EXACT, "fastmath": {"nnan", "ninf", "nsz", "reassoc"}}


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def fold_rows(
    values: Any, lo: Any, scale: Any, coarse_of: Any, slots: Any, counts: Any, blocks: Any,
    n_zero: Any, n_nan: Any, minimum: Any, maximum: Any, pooled: Any,
) -> None:  # fmt: skip
    """Add the activations of one layer to its counts; every array after `slots` is written to.

    Args:
        values: (n_images, n_neurons, n_positions).
        lo, scale: (n_neurons,) the lower edge, and bins per unit of activation.
        coarse_of: (n_bins + 2,) the coarse bin of every bin; the first and the last are out of range.
        slots: (n_images,) each image's index into `blocks`.
        counts: (n_neurons, n_bins + 2).
        blocks: (n_slots, n_neurons, n_coarse_bins).
        n_zero, n_nan, minimum, maximum: (n_neurons,).
        pooled: (n_images, n_neurons) means over positions.
    """
    n_images, n_neurons, n_positions = values.shape
    n_bins = np.float64(counts.shape[1] - 2)
    bins = np.empty(n_positions, np.int32)
    for d in range(n_neurons):
        # Images inside neurons: the counts of one neuron stay in the first-level cache.
        for i in range(n_images):
            row = values[i, d]
            block = blocks[slots[i], d]
            total = _total(row)
            pooled[i, d] = total / n_positions
            if np.isfinite(total):
                _bins_of(row, lo[d], scale[d], n_bins, bins)
                _scatter(bins, coarse_of, counts[d], block)
                low, high, zeros = _extremes(row)
                n_zero[d] += np.uint64(zeros)
                minimum[d] = min(minimum[d], low)
                maximum[d] = max(maximum[d], high)
            else:
                _fold_with_care(row, lo[d], scale[d], coarse_of, counts[d], block, n_zero, n_nan, minimum, maximum, d)


@numba.njit(**{**_EXACT, "fastmath": {"reassoc"}})  # type: ignore[untyped-decorator]
def _total(row: Any) -> Any:
    total = 0.0
    for p in range(row.shape[0]):
        total += np.float64(row[p])
    return total


@numba.njit(**_FINITE)  # type: ignore[untyped-decorator]
def _bins_of(row: Any, lo: Any, scale: Any, n_bins: Any, bins: Any) -> None:
    """Bin + 1, so that 0 is below the range and n_bins + 1 above it."""
    for p in range(row.shape[0]):
        t = (np.float64(row[p]) - lo) * scale
        t = n_bins - 0.5 if t == n_bins else t
        t = -1.0 if t < 0.0 else t
        t = min(n_bins, t)
        bins[p] = np.int32(t) + np.int32(1)


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _scatter(bins: Any, coarse_of: Any, counts: Any, block: Any) -> None:
    one = np.uint32(1)
    for p in range(bins.shape[0]):
        bin_ = np.uint32(bins[p])
        counts[bin_] += one
        block[coarse_of[bin_]] += one


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _extremes(row: Any) -> Any:
    # As integers, because a minimum of floats is not vectorised: their bits are in order once those of
    # negative numbers are flipped.
    bits = row.view(np.int32)
    low = high = _in_order(bits[0])
    zeros = np.int32(0)
    for p in range(bits.shape[0]):
        bin_ = _in_order(bits[p])
        low, high = min(low, bin_), max(high, bin_)
    for p in range(row.shape[0]):
        zeros += np.int32(row[p] == np.float32(0))
    return np.int32(_in_order(low)).view(np.float32), np.int32(_in_order(high)).view(np.float32), zeros


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _in_order(bits: Any) -> Any:
    """Its own inverse."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _fold_with_care(
    row: Any, lo: Any, scale: Any, coarse_of: Any, counts: Any, block: Any,
    n_zero: Any, n_nan: Any, minimum: Any, maximum: Any, d: Any,
) -> None:  # fmt: skip
    """The same for a row with NaN (left out and counted) or infinities (out of range)."""
    one = np.uint32(1)
    n_bins = counts.shape[0] - 2
    for p in range(row.shape[0]):
        v = row[p]
        if np.isnan(v):
            n_nan[d] += np.uint64(1)
            continue
        t = (np.float64(v) - lo) * scale
        if t < 0.0:
            bin_ = 0
        elif t > n_bins:
            bin_ = n_bins + 1
        else:
            bin_ = min(int(t), n_bins - 1) + 1
        counts[bin_] += one
        block[coarse_of[bin_]] += one
        if v == 0.0:
            n_zero[d] += np.uint64(1)
        minimum[d] = min(minimum[d], v)
        maximum[d] = max(maximum[d], v)


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def fold_tokens(
    tokens: Any, lo: Any, scale: Any, coarse_of: Any, slots: Any, counts: Any, blocks: Any,
    n_zero: Any, n_nan: Any, minimum: Any, maximum: Any, pooled: Any,
) -> None:  # fmt: skip
    """`fold_rows` of (n_images, n_positions, n_neurons): across neurons, which then need not be brought together."""
    n_images, n_positions, n_neurons = tokens.shape
    n_bins = np.float64(counts.shape[1] - 2)
    for start in range(0, n_neurons, _TILE):
        stop = min(start + _TILE, n_neurons)
        width, edge, step, tile = stop - start, lo[start:stop], scale[start:stop], counts[start:stop]
        bins = np.empty(width, np.int32)
        for i in range(n_images):
            block, total = blocks[slots[i], start:stop], np.zeros(width)
            for p in range(n_positions):
                _total_across(tokens[i, p, start:stop], total)
            pooled[i, start:stop] = total / n_positions
            if not np.isfinite(total).all():
                for d in range(width):
                    _fold_with_care(
                        tokens[i, :, start + d], edge[d], step[d], coarse_of, tile[d], block[d],
                        n_zero, n_nan, minimum, maximum, start + d,
                    )  # fmt: skip
                continue
            zeros = np.zeros(width, np.int32)
            low, high = tokens[i, 0, start:stop].copy(), tokens[i, 0, start:stop].copy()
            for p in range(n_positions):
                _bins_across(tokens[i, p, start:stop], edge, step, n_bins, bins, zeros, low, high)
                _scatter_across(bins, coarse_of, tile, block)
            for d in range(width):
                n_zero[start + d] += np.uint64(zeros[d])
                minimum[start + d] = min(minimum[start + d], low[d])
                maximum[start + d] = max(maximum[start + d], high[d])


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _total_across(row: Any, total: Any) -> None:
    for d in range(row.shape[0]):
        total[d] += np.float64(row[d])


@numba.njit(**_FINITE)  # type: ignore[untyped-decorator]
def _bins_across(row: Any, lo: Any, scale: Any, n_bins: Any, bins: Any, zeros: Any, low: Any, high: Any) -> None:
    """`_bins_of` and `_extremes` for one position of neurons side by side."""
    for d in range(row.shape[0]):
        v = row[d]
        t = (np.float64(v) - lo[d]) * scale[d]
        t = n_bins - 0.5 if t == n_bins else t
        t = -1.0 if t < 0.0 else t
        t = min(n_bins, t)
        bins[d] = np.int32(t) + np.int32(1)
        zeros[d] += np.int32(v == np.float32(0))
        low[d] = min(low[d], v)
        high[d] = max(high[d], v)


@numba.njit(**_EXACT)  # type: ignore[untyped-decorator]
def _scatter_across(bins: Any, coarse_of: Any, counts: Any, block: Any) -> None:
    one = np.uint32(1)
    for d in range(counts.shape[0]):
        bin_ = np.uint32(bins[d])
        counts[d, bin_] += one
        block[d, coarse_of[bin_]] += one
