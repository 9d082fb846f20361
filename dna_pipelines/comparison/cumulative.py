"""Cumulative distributions and what is computed from them in one pass, in cache-sized blocks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

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
    from dna_pipelines.comparison.kernels import cumulate

    out = np.empty(counts.shape) if out is None else out
    # Signed, because processors convert signed integers to floats several times faster.
    cumulate(counts.view(np.int64), out)
    return out


def pairwise_l1(left: F64, right: F64, first: NDArray[np.integer], second: NDArray[np.integer]) -> F64:
    """Σₖ |a(k) - b(k)| for pairs of rows, neuron by neuron.

    Args:
        left, right: (n_dnas, n_neurons, n_bins), C-contiguous; they may be the same.
        first, second: (n_pairs,) indices into the first axis of left and of right.

    Returns:
        (n_pairs, n_neurons).
    """
    from dna_pipelines.comparison.kernels import l1_of_pairs

    n_neurons = left.shape[1]
    out = np.empty((len(first), n_neurons))
    i, j = np.asarray(first, np.int64), np.asarray(second, np.int64)

    def task(start: int) -> None:
        l1_of_pairs(left, right, i, j, start, min(start + _NEURONS_A_TASK, n_neurons), out)

    starts = range(0, n_neurons, _NEURONS_A_TASK)
    if len(first) * n_neurons < 10_000:
        for start in starts:
            task(start)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(task, starts))
    return out


def cumulative_distances(counts_a: NDArray[np.uint64], counts_b: NDArray[np.uint64]) -> F64:
    """Σ|F - G|, Σ(F - G)² and max|F - G| of cumulative distributions, in one pass over the counts.

    Args:
        counts_a, counts_b: (n_neurons, n_bins).

    Returns:
        (3, n_neurons); NaN for a neuron without values on a side.
    """
    from dna_pipelines.comparison.kernels import sums_of_differences

    out = np.empty((3, len(counts_a)))
    sums_of_differences(counts_a.view(np.int64), counts_b.view(np.int64), out)
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
    from dna_pipelines.comparison.kernels import overlaps

    out = np.empty((3, len(counts_a)))
    overlaps(counts_a.view(np.int64), counts_b.view(np.int64), width, floor, out)
    return out
