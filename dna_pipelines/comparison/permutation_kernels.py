"""The inner loops of re-dealing: from counts of blocks to rows, and sums of rows that were picked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.numba_cache import numba

_OPTIONS: Any = {"nogil": True, "cache": True, "error_model": "numpy"}


def signed(counts: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Processors convert signed integers to floats several times faster."""
    return np.ascontiguousarray(counts).view(np.int64)


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _cumulated(counts: Any, of: Any, out: Any) -> None:
    """Add the cumulative counts of a neuron's blocks to their units."""
    for block in range(counts.shape[0]):
        unit = of[block]
        if unit >= 0:
            running = 0
            for k in range(counts.shape[1]):
                running += counts[block, k]
                out[unit, k] += np.float64(running)


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def residuals(a: Any, b: Any, of_a: Any, of_b: Any, rows: Any) -> None:
    """Y_b of each unit as a share of all values, and in the last bin N_b likewise; the last row stays zero."""
    n_units, last = rows.shape[1] - 1, a.shape[2] - 1
    units = np.empty((n_units, a.shape[2]))
    for d in range(a.shape[0]):
        units[:] = 0.0
        _cumulated(a[d], of_a, units)
        _cumulated(b[d], of_b, units)
        together = np.zeros(a.shape[2])
        for unit in range(n_units):
            together += units[unit]
        total = together[last]
        for unit in range(n_units):
            share = units[unit, last] / total
            for k in range(last):
                rows[k, unit, d] = units[unit, k] / total - share * (together[k] / total)
            rows[last, unit, d] = share


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def deviations(a: Any, b: Any, of_a: Any, of_b: Any, n_a: Any, rows: Any) -> None:
    """Of each unit from its own side, then a row with the difference of the sides; the last row stays zero."""
    n_units, last = rows.shape[1] - 2, a.shape[2] - 1
    units = np.empty((n_units, a.shape[2]))
    for d in range(a.shape[0]):
        units[:] = 0.0
        _cumulated(a[d], of_a, units)
        _cumulated(b[d], of_b, units)
        side_a, side_b = np.zeros(a.shape[2]), np.zeros(a.shape[2])
        for unit in range(n_a):
            side_a += units[unit]
        for unit in range(n_a, n_units):
            side_b += units[unit]
        for k in range(last):
            f_a, f_b = side_a[k] / side_a[last], side_b[k] / side_b[last]
            rows[k, n_units, d] = f_a - f_b
            for unit in range(n_a):
                rows[k, unit, d] = (units[unit, k] - units[unit, last] * f_a) / side_a[last]
            for unit in range(n_a, n_units):
                rows[k, unit, d] = -(units[unit, k] - units[unit, last] * f_b) / side_b[last]


# Neurons lie side by side, and the sums of one bin stay in the first-level cache.
@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def add_picked(rows: Any, picks: Any, n_picked: Any, sums: Any) -> None:
    """Add |Σ_i rows[k, picks[r, i], d]| over the bins k to sums[r, d]."""
    total = np.empty(rows.shape[2], np.float32)
    for k in range(rows.shape[0]):
        slab = rows[k]
        for r in range(picks.shape[0]):
            total[:] = np.float32(0)
            for i in range(0, n_picked[r], 4):
                w, x, y, z = slab[picks[r, i]], slab[picks[r, i + 1]], slab[picks[r, i + 2]], slab[picks[r, i + 3]]
                for d in range(total.shape[0]):
                    total[d] += (w[d] + x[d]) + (y[d] + z[d])
            row = sums[r]
            for d in range(total.shape[0]):
                row[d] += abs(total[d])
