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
