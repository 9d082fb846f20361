"""The compiled inner loops of comparison.

Their callers import this module when they run, because numba is slow to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dna_pipelines.numba_cache import intrinsic, numba, types

TILE = 1024
"""Rows of the right side of `scan_codes` that stay in the cache while rows of the left side pass."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def cumulate(counts: Any, out: Any) -> None:
    """Cumulative shares of each row of counts."""
    for d in range(counts.shape[0]):
        total = np.float64(counts[d].sum())
        running = 0
        for k in range(counts.shape[1]):
            running += counts[d, k]
            out[d, k] = np.float64(running) / total


# Summation may be re-ordered, which is what lets it use vector registers.
@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def l1_of_pairs(left: Any, right: Any, first: Any, second: Any, start: int, stop: int, out: Any) -> None:
    """Σₖ |a(k) - b(k)| of pairs of rows, for the neurons from start to stop."""
    # Pairs inside neurons: one neuron's rows of all DNAs stay in the second-level cache. The arrays are
    # handed over whole, because a slice of them is not contiguous and would not be vectorised.
    for d in range(start, stop):
        for pair in range(len(first)):
            a, b = left[first[pair], d], right[second[pair], d]
            total = 0.0
            for k in range(a.shape[0]):
                total += abs(a[k] - b[k])
            out[pair, d] = total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sums_of_differences(a: Any, b: Any, out: Any) -> None:
    """See `cumulative.cumulative_distances`."""
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
def overlaps(a: Any, b: Any, width: int, floor: float, out: Any) -> None:
    """See `cumulative.overlap_distances`."""
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


@numba.njit(nogil=True, cache=True)
def average_quantiles(stacked: Any, shares: Any, masses: Any) -> None:
    """Walk along the levels at which any quantile function jumps, all at once."""
    n_neurons, n_dnas, n_bins = stacked.shape
    bin_ = np.zeros(n_dnas, np.int64)
    for d in range(n_neurons):
        bin_[:] = 0
        level, there = 0.0, True
        for i in range(n_dnas):
            # NaN: it has no values.
            there = there and stacked[d, i, n_bins - 1] > 0.0
        while there and level < 1.0:
            position, until = 0.0, 1.0
            for i in range(n_dnas):
                while bin_[i] < n_bins - 1 and stacked[d, i, bin_[i]] <= level:
                    bin_[i] += 1
                position += shares[i] * bin_[i]
                if bin_[i] < n_bins - 1:
                    until = min(until, stacked[d, i, bin_[i]])
            low = int(np.floor(position + 1e-9))
            part = max(position - low, 0.0)
            masses[d, low] += (until - level) * (1.0 - part)
            masses[d, low + 1] += (until - level) * part
            level = until


def _count_ones(_typing: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(word), generate


_ones: Any = intrinsic(_count_ones)
"""The processor's own count of the bits of a word that are set."""


@numba.njit(nogil=True, cache=True)
def scan_codes(left: Any, right: Any, start: int, stop: int, most: int, within: bool, pairs: Any) -> int:
    """Write the pairs of rows whose codes differ in at most so many bits into `pairs` (n, 3); returns their number."""
    # Goes on counting when `pairs` is full, so that the caller knows how many rows it needs.
    n_near = 0
    n_words, n_right = left.shape[1], right.shape[0]
    for tile in range(0, n_right, TILE):
        for i in range(start, stop):
            for j in range(max(tile, i + 1) if within else tile, min(tile + TILE, n_right)):
                bits = np.int64(_ones(left[i, 0] ^ right[j, 0]))
                if n_words > 1:
                    bits += np.int64(_ones(left[i, 1] ^ right[j, 1]))
                for w in range(2, n_words):
                    if bits > most:
                        break
                    bits += np.int64(_ones(left[i, w] ^ right[j, w]))
                if bits <= most:
                    if n_near < pairs.shape[0]:
                        pairs[n_near, 0] = i
                        pairs[n_near, 1] = j
                        pairs[n_near, 2] = bits
                    n_near += 1
    return n_near
