"""The inner loop of comparison: L1 distances of cumulative distributions, in cache-sized blocks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_NEURONS_A_TASK = 64

F64 = NDArray[np.float64]


def cumulative(counts: NDArray[np.uint64], out: F64 | None = None) -> F64:
    """Cumulative distributions, (n_neurons, n_bins); NaN for a neuron without values.

    The sums are exact integers and are divided once, in float64.

    Args:
        counts: (n_neurons, n_bins).
        out: where to put them; fresh memory costs more than the sums.
    """
    out = np.empty(counts.shape) if out is None else out
    # Signed, because processors convert signed integers to floats several times faster.
    _cumulate(counts.view(np.int64), out)
    return out


def pairwise_l1(left: F64, right: F64, first: NDArray[np.integer], second: NDArray[np.integer]) -> F64:
    """Σₖ |a(k) - b(k)| for pairs of rows, neuron by neuron.

    Args:
        left, right: (n_dnas, n_neurons, n_bins), C-contiguous; they may be the same.
        first, second: (n_pairs,) indices into the first axis of left and of right.

    Returns:
        (n_pairs, n_neurons).
    """
    n_neurons = left.shape[1]
    out = np.empty((len(first), n_neurons))
    i, j = np.asarray(first, np.int64), np.asarray(second, np.int64)

    def task(start: int) -> None:
        _l1(left, right, i, j, start, min(start + _NEURONS_A_TASK, n_neurons), out)

    starts = range(0, n_neurons, _NEURONS_A_TASK)
    if len(first) * n_neurons < 10_000:
        for start in starts:
            task(start)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(task, starts))
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _cumulate(counts: Any, out: Any) -> None:
    for d in range(counts.shape[0]):
        total = np.float64(counts[d].sum())
        running = 0
        for k in range(counts.shape[1]):
            running += counts[d, k]
            out[d, k] = np.float64(running) / total


# Summation may be re-ordered, which is what lets it use vector registers.
@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def _l1(left: Any, right: Any, first: Any, second: Any, start: int, stop: int, out: Any) -> None:
    # Pairs inside neurons: one neuron's rows of all DNAs stay in the second-level cache. The arrays are
    # handed over whole, because a slice of them is not contiguous and would not be vectorised.
    for d in range(start, stop):
        for pair in range(len(first)):
            a, b = left[first[pair], d], right[second[pair], d]
            total = 0.0
            for k in range(a.shape[0]):
                total += abs(a[k] - b[k])
            out[pair, d] = total


def cumulative_distances(counts_a: NDArray[np.uint64], counts_b: NDArray[np.uint64]) -> F64:
    """Σ|F - G|, Σ(F - G)² and max|F - G| of cumulative distributions, in one pass over the counts.

    Args:
        counts_a, counts_b: (n_neurons, n_bins).

    Returns:
        (3, n_neurons); NaN for a neuron without values on a side.
    """
    out = np.empty((3, len(counts_a)))
    _cumulative(counts_a.view(np.int64), counts_b.view(np.int64), out)
    return out


def overlap_distances(counts_a: NDArray[np.uint64], counts_b: NDArray[np.uint64], width: int, floor: float) -> F64:
    """Jensen-Shannon divergence (bits), 1 - Σ√(pq) and Σ(p - q)·ln(p/q) over joined bins, in one pass.

    Args:
        counts_a, counts_b: (n_neurons, n_bins).
        width: so many bins are joined to one.
        floor: added to every share before the last of the three, which are then scaled to sum to 1.

    Returns:
        (3, n_neurons); NaN for a neuron without values on a side.
    """
    out = np.empty((3, len(counts_a)))
    _overlap(counts_a.view(np.int64), counts_b.view(np.int64), width, floor, out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _cumulative(a: Any, b: Any, out: Any) -> None:
    for d in range(a.shape[0]):
        total_a, total_b = np.float64(a[d].sum()), np.float64(b[d].sum())
        running_a, running_b = 0, 0
        absolute, squared, largest = 0.0, 0.0, 0.0
        for k in range(a.shape[1]):
            running_a += a[d, k]
            running_b += b[d, k]
            difference = abs(np.float64(running_a) / total_a - np.float64(running_b) / total_b)
            absolute += difference
            squared += difference * difference
            largest = max(largest, difference)
        out[0, d], out[1, d] = absolute, squared
        # Comparisons do not pass NaN on.
        out[2, d] = largest if total_a > 0 and total_b > 0 else np.nan


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _overlap(a: Any, b: Any, width: int, floor: float, out: Any) -> None:
    n_joined = a.shape[1] // width
    for d in range(a.shape[0]):
        total_a, total_b = np.float64(a[d].sum()), np.float64(b[d].sum())
        if total_a == 0 or total_b == 0:
            out[:, d] = np.nan
            continue
        divergence, affinity, stability = 0.0, 0.0, 0.0
        for j in range(n_joined):
            in_a, in_b = 0, 0
            for k in range(j * width, (j + 1) * width):
                in_a += a[d, k]
                in_b += b[d, k]
            p, q = np.float64(in_a) / total_a, np.float64(in_b) / total_b
            middle = (p + q) / 2
            if p > 0:
                divergence += p * np.log2(p / middle) / 2
            if q > 0:
                divergence += q * np.log2(q / middle) / 2
            affinity += np.sqrt(p * q)
            stability += (p - q) * np.log((p + floor) / (q + floor))
        # Rounding must not leave the bounds.
        out[0, d] = min(max(divergence, 0.0), 1.0)
        out[1, d] = min(max(1.0 - affinity, 0.0), 1.0)
        out[2, d] = stability / (1.0 + n_joined * floor)
