"""Which images contribute to an EMD: its exact decomposition over the images of one side.

With s(k) = sign(CDF_a(k) - CDF_b(k)), the EMD of a neuron is Σₖ s(k)·(CDF_a(k) - CDF_b(k)). CDF_a is the mean
of the CDFs of a's images, so the EMD is the mean over them of

    cᵢ = Σₖ s(k)·(CDFᵢ(k) - CDF_b(k)),

the *contribution* of image i. To first order (while no sign changes), leaving i out of n images lowers the EMD by
(cᵢ - EMD) / (n - 1), its *influence*: the image with the largest contribution is the one to leave out.

Most of a small EMD is sampling error, which has signs too: they favour images that are odd in any way. So images are
ranked by contributions in which s(k) is 0 wherever the CDFs differ by less than a few standard errors; what remains
is the part of the EMD that exceeds sampling error.

A value in bin b adds to CDFᵢ(k) for every k from b on, so a contribution is the mean of one number per bin over the
image's values. These numbers are the *potential* (Kantorovich's, in the dual of the transport problem). It serves
histograms of positions and means over positions alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.cumulative import cumulative

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

ERRORS = 3.0
"""Standard errors beyond which a difference of CDFs counts (measured: benchmarks/attribution.py)."""

_PART = 256
"""The number of images or neurons that are processed at a time, to limit memory."""


def potential(counts_a: U64, counts_b: U64, significant: NDArray[np.bool_] | None = None) -> F64:
    """What a value of a's images contributes to the EMD from b, by the bin it lies in.

    Args:
        counts_a, counts_b: (n_neurons, n_bins) of the two sides.
        significant: (n_neurons, n_bins) where a difference of the CDFs counts; None: everywhere.

    Returns:
        (n_neurons, n_bins) in bins; NaN for a neuron that has no values on a side. Its mean over b's values is 0,
        and over a's values the EMD (the part of it that counts).
    """
    left, right = cumulative(counts_a), cumulative(counts_b)
    sign = np.sign(left - right)
    if significant is not None:
        sign = np.where(significant | np.isnan(sign), sign, 0.0)
    from_here_on = np.cumsum(sign[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(from_here_on - (sign * right).sum(axis=1, keepdims=True))


def significant_bins(blocks_a: U64, blocks_b: U64, n_bins: int, errors: float = ERRORS) -> NDArray[np.bool_]:
    """The bins in which two CDFs differ by more than a number of standard errors.

    Args:
        blocks_a, blocks_b: (n_neurons, n_blocks, n_coarse_bins): blocks are samples that are independent of each
            other, which the values of one image are not. The standard error is that of a ratio of sums over blocks.
        n_bins: of the result, a multiple of the coarse bins; each bin has the result of the coarse edge above it.
        errors: the number of standard errors.

    Returns:
        (n_neurons, n_bins); all False where a side has fewer than two blocks.
    """
    differs = np.zeros((len(blocks_a), blocks_a.shape[2]), np.bool_)
    for start in range(0, len(differs), _PART):
        part = slice(start, start + _PART)
        (left, var_left), (right, var_right) = _with_errors(blocks_a[part]), _with_errors(blocks_b[part])
        with np.errstate(invalid="ignore"):
            differs[part] = np.abs(left - right) > errors * np.sqrt(var_left + var_right)
    return np.repeat(differs, n_bins // differs.shape[1], axis=1)


def _with_errors(blocks: U64) -> tuple[F64, F64]:
    """CDFs at coarse edges and their variances over blocks, (n_neurons, n_coarse_bins) each."""
    sums = np.cumsum(blocks, axis=2, dtype=np.float64)
    sizes = sums[:, :, -1:]
    total, n_used = sizes.sum(axis=1), (sizes > 0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cdf = sums.sum(axis=1) / total
        residuals = sums - sizes * cdf[:, None]
        variance = (residuals**2).sum(axis=1) / total**2 * (n_used / (n_used - 1))
    return cdf, np.where(n_used > 1, variance, np.nan)


def of_histogram(counts: NDArray[np.integer], potentials: F64) -> F64:
    """The contribution of one image (or of the images of a shard, on average), neuron by neuron.

    Args:
        counts: (n_neurons, n_bins) of its values.
        potentials: see `potential`.

    Returns:
        (n_neurons,) in bins; NaN where it has no values.
    """
    totals = counts.sum(axis=1, dtype=np.float64)
    sums: F64 = np.einsum("db,db->d", counts.astype(np.float64), potentials)
    return np.asarray(np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0))


def unit_bins(pooled: NDArray[np.floating], n_bins: int) -> NDArray[np.int32]:
    """The bins of values in units of the activation range (-1 to 1); -1 for NaN, the edge bins for what is outside.

    Args:
        pooled: (n_images, n_neurons).
        n_bins: over the range.
    """
    scaled = np.clip((np.asarray(pooled, np.float32) + 1) * (n_bins / 2), 0, n_bins - 1)
    return np.where(np.isnan(scaled), -1, np.floor(np.nan_to_num(scaled))).astype(np.int32)


def unit_counts(pooled: NDArray[np.floating], n_bins: int, blocks: NDArray[np.integer], n_blocks: int) -> U64:
    """Histograms over images by block, of values in units of the activation range; NaN is not counted.

    Args:
        pooled: (n_images, n_neurons).
        n_bins: over the range.
        blocks: (n_images,) the block of each image.
        n_blocks: the number of blocks.

    Returns:
        (n_neurons, n_blocks, n_bins).
    """
    n_neurons = pooled.shape[1]
    counts = np.zeros((n_neurons, n_blocks, n_bins), np.uint64)
    neurons = np.arange(n_neurons)[None]
    for start in range(0, len(pooled), _PART):
        bins = unit_bins(pooled[start : start + _PART], n_bins)
        known = bins >= 0
        where = np.broadcast_arrays(neurons, np.asarray(blocks[start : start + _PART])[:, None], bins)
        np.add.at(counts, tuple(indices[known] for indices in where), np.uint64(1))
    return counts


def of_pooled(pooled: NDArray[np.floating], potentials: F64) -> F64:
    """The contribution of each image by its means over positions: a mean over neurons.

    Args:
        pooled: (n_images, n_neurons) in units of the activation range.
        potentials: (n_neurons, n_bins), of the means of both sides.

    Returns:
        (n_images,) in bins. A neuron in which an image has no number, or a side no values, is left out of its mean;
        NaN where that leaves none.
    """
    n_bins, neurons = potentials.shape[1], np.arange(len(potentials))
    out = np.full(len(pooled), np.nan)
    for start in range(0, len(pooled), _PART):
        bins = unit_bins(pooled[start : start + _PART], n_bins)
        values = np.where(bins >= 0, potentials[neurons, bins], np.nan)
        known = np.isfinite(values)
        n_known = known.sum(axis=1)
        total = np.where(known, values, 0.0).sum(axis=1)
        np.divide(total, n_known, out=out[start : start + _PART], where=n_known > 0)
    return out
