"""The kernel of significance: distances after statistical blocks are permuted between two datasets.

Write C_b(k) for the cumulative counts of a block and N_b for its values, F for the distribution of all
blocks together, and Y_b(k) = C_b(k) - N_b·F(k). The Y_b sum to zero, so wherever some blocks S go to the one
side and the rest to the other, the difference of the two sides' distributions is

    F_S(k) - F_rest(k) = (1 / N_S + 1 / N_rest) · Σ_{b in S} Y_b(k).

All permutations of all neurons are then one product of a 0/1 matrix with the Y_b. It is computed as sums of the rows
that a permutation picks, those of the side with fewer of them, which takes half as many operations or less and needs
no BLAS. The Y_b are differences already, so float32 is good to about 1e-5 of a distance, whatever the counts. Where a
neuron does something in few units only, many permutations give the very same distance; rounding must not separate
them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

_NEURONS_A_TILE = 128
"""Few enough that one bin of a tile stays in the second-level cache."""

_ROUNDING = 1e-5
"""Of a distance, how far off float32 may be."""

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Units:
    """What is permuted: the blocks of both sides that have images.

    Attributes:
        n_images: (n_units,) images of each.
        of_a, of_b: (N_BLOCKS,) the unit that each block belongs to, or -1 where it has no image.
        n_a: how many of the units are the first side's; they come first.
    """

    n_images: NDArray[np.int64]
    of_a: NDArray[np.int64]
    of_b: NDArray[np.int64]
    n_a: int

    @property
    def n_images_a(self) -> int:
        """Images of the first side."""
        return int(self.n_images[: self.n_a].sum())

    @property
    def n_images_b(self) -> int:
        """Images of the second side."""
        return int(self.n_images[self.n_a :].sum())


def units_of(n_images_a: U64, n_images_b: U64, *, alike: bool = True) -> Units:
    """The units of two sides.

    Blocks of the smaller side are merged until they are about as large as those of the larger one.
    Only units of one size are exchangeable, so this is what makes a test of unequal sides keep its level. They are
    merged by size alone, so that nothing depends on what the images show.

    Args:
        n_images_a, n_images_b: (N_BLOCKS,) images in each block.
        alike: merge blocks; otherwise every block is a unit.
    """
    a, b = (np.asarray(side, np.int64) for side in (n_images_a, n_images_b))
    typical = max(side.sum() / max(np.count_nonzero(side), 1) for side in (a, b)) if alike else 1.0
    of_a, sizes_a = _merged(a, typical)
    of_b, sizes_b = _merged(b, typical)
    of_b = np.where(of_b < 0, -1, of_b + len(sizes_a))
    return Units(np.concatenate([sizes_a, sizes_b]), of_a, of_b, len(sizes_a))


def _merged(n_images: NDArray[np.int64], typical: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    occupied = np.flatnonzero(n_images)
    n_units = min(len(occupied), max(round(n_images.sum() / typical), 1)) if len(occupied) else 0
    of, sizes = np.full(len(n_images), -1), np.zeros(n_units, np.int64)
    if n_units == len(occupied):
        of[occupied] = np.arange(n_units)
        return of, n_images[occupied]
    # The largest first, each to the unit that is smallest so far.
    for block in occupied[np.argsort(-n_images[occupied], kind="stable")]:
        unit = int(np.argmin(sizes))
        of[block], sizes[unit] = unit, sizes[unit] + n_images[block]
    return of, sizes


UNROLLED = 4
"""Rows that the kernel `add_picked` adds at once; picks are padded to a multiple of it, with a row of zeros."""


@dataclass(frozen=True, eq=False)
class Picks:
    """Rows to add up, for each of many sums; what is over in the lists of shorter ones is a row of zeros.

    Attributes:
        rows: (n_sums, n_most) indices.
        n_rows: (n_sums,) how many of them count, a multiple of `UNROLLED`.
    """

    rows: NDArray[np.int32]
    n_rows: NDArray[np.int64]

    @staticmethod
    def of(times: NDArray[np.integer], zeros: int) -> Picks:
        """From how often each sum takes each row.

        Args:
            times: (n_sums, n_rows).
            zeros: the index of a row of zeros.
        """
        n_rows = -(-times.sum(axis=1) // UNROLLED) * UNROLLED
        rows = np.full((len(times), int(n_rows.max())), zeros, np.int32)
        sums, indices = np.nonzero(times)
        often = times[sums, indices]
        sums, indices = np.repeat(sums, often), np.repeat(indices, often)
        starts = np.concatenate([[0], times.sum(axis=1).cumsum()[:-1]])
        rows[sums, np.arange(len(sums)) - starts[sums]] = indices
        return Picks(rows, n_rows.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Permutations:
    """Permutations of the units between the two sides.

    Attributes:
        to_a: (1 + n_permutations, n_units) whether the first side gets the unit. The first row is what was observed.
        scale: (1 + n_permutations,) undoes what sizes that are not quite those of the two sides do to distances
            (under the null they go as √(1/n_a + 1/n_b)).
        n_ways: about how many distinct permutations there are.
        smallest_p: no p-value can be below it. With as many units on both sides, a permutation and the one that swaps
            the sides give the same distance.
    """

    to_a: NDArray[np.bool_]
    scale: F64
    n_ways: float
    smallest_p: float

    @property
    def picks(self) -> Picks:
        """The units of the side that has fewer of them."""
        n_units = self.to_a.shape[1]
        fewer = self.to_a.sum(axis=1) * 2 <= n_units
        return Picks.of(np.where(fewer[:, None], self.to_a, ~self.to_a).astype(np.int64), n_units)


def permute(units: Units, n_permutations: int, rng: np.random.Generator) -> Permutations:
    """Assign the units to the sides at random, so that each keeps its number of images as nearly as possible."""
    sizes, n_units = units.n_images, len(units.n_images)
    observed = np.arange(n_units) < units.n_a
    wanted = min(units.n_images_a, units.n_images_b)
    order = rng.random((n_permutations, n_units)).argsort(axis=1)
    filled = sizes[order].cumsum(axis=1)
    n_taken = np.clip(np.abs(filled - wanted).argmin(axis=1) + 1, 1, n_units - 1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(n_units), order.shape), axis=1)
    taken = rank < n_taken[:, None]
    to_a = np.concatenate([observed[None], taken if units.n_images_a <= units.n_images_b else ~taken])
    n_images_a = to_a @ sizes
    spread = 1 / n_images_a + 1 / (sizes.sum() - n_images_a)
    typical = int(np.median(n_taken))
    n_ways = float(comb(n_units, typical))
    return Permutations(to_a, np.sqrt(spread[0] / spread), n_ways, (2 if 2 * typical == n_units else 1) / n_ways)


def resample(units: Units, n_resamples: int, rng: np.random.Generator) -> Picks:
    """Bootstrap: draw the units of each side from that side, with replacement; see `resampled_distances`."""
    sides = (units.n_a, len(units.n_images) - units.n_a)
    times = [rng.multinomial(n, np.full(n, 1 / n), n_resamples) for n in sides]
    # The last row that counts is the difference as it is.
    return Picks.of(np.concatenate([*times, np.ones((n_resamples, 1), np.int64)], axis=1), sum(sides) + 1)


def permuted_distances(counts_a: U64, counts_b: U64, units: Units, permutations: Permutations) -> F64:
    """The EMD of each neuron under each permutation, in coarse bins; the first row is the observed distance.

    Args:
        counts_a, counts_b: (n_neurons, N_BLOCKS, n_bins) counts of the blocks.
        units: see `units_of`.
        permutations: of these units.

    Returns:
        (1 + n_permutations, n_neurons); NaN where a neuron has no values on a side. What equals the first row but for
        rounding is the same number.
    """
    from dna_pipelines.comparison.permutation_kernels import add_picked, residuals, signed

    picks, n_rows, n_bins = permutations.picks, len(units.n_images) + 1, counts_a.shape[2]

    def task(part: slice, out: F64) -> None:
        # The last bin, where all distributions are 1, has the units' shares of the values instead.
        rows = np.zeros((n_bins, n_rows, part.stop - part.start), np.float32)
        residuals(signed(counts_a[part]), signed(counts_b[part]), units.of_a, units.of_b, rows)
        sums, share = np.zeros((2, *out.shape), np.float32)
        add_picked(rows[:-1], picks.rows, picks.n_rows, sums)
        add_picked(rows[-1:], picks.rows, picks.n_rows, share)
        # Without values on a side there is no distance; a share that should be 1 may miss it by a rounding error.
        known = (share > 0) & (share < 1 - 1e-6)
        of_one = np.where(known, share, 0.5).astype(np.float64)
        scale = permutations.scale[:, None] * (1 / of_one + 1 / (1 - of_one))
        out[:] = np.where(known, scale * sums, np.nan)
        np.copyto(out, out[:1], where=np.abs(out - out[:1]) <= _ROUNDING * out[:1])

    return _in_tiles(len(permutations.to_a), counts_a.shape[0], task)


def resampled_distances(counts_a: U64, counts_b: U64, units: Units, samples: Picks) -> F64:
    """The EMD of each neuron in bootstrap samples of each side's units, in coarse bins.

    To first order in the sample: with n_b times unit b, F_A + Σ n_b·(C_b - N_b·F_A) / N_A, and likewise for
    the other side.

    Args:
        counts_a, counts_b, units: see `permuted_distances`.
        samples: see `resample`.

    Returns:
        (n_resamples, n_neurons); NaN where a neuron has no values on a side.
    """
    from dna_pipelines.comparison.permutation_kernels import add_picked, deviations, signed

    n_rows, n_bins = len(units.n_images) + 2, counts_a.shape[2]

    def task(part: slice, out: F64) -> None:
        rows = np.zeros((n_bins - 1, n_rows, part.stop - part.start), np.float32)
        deviations(signed(counts_a[part]), signed(counts_b[part]), units.of_a, units.of_b, units.n_a, rows)
        sums = np.zeros(out.shape, np.float32)
        add_picked(rows, samples.rows, samples.n_rows, sums)
        out[:] = sums

    return _in_tiles(len(samples.rows), counts_a.shape[0], task)


def _in_tiles(n_rows: int, n_neurons: int, task: Callable[[slice, F64], None]) -> F64:
    """Fill (n_rows, n_neurons), some neurons at a time, on all cores."""
    out = np.empty((n_rows, n_neurons))
    parts = [slice(start, min(start + _NEURONS_A_TILE, n_neurons)) for start in range(0, n_neurons, _NEURONS_A_TILE)]
    if len(parts) == 1:
        task(parts[0], out)
        return out
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda part: task(part, out[:, part]), parts))
    return out
