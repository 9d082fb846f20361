"""Folding as its definition reads: one value at a time, in exact arithmetic."""

import math
from fractions import Fraction

import numpy as np

from dna_pipelines.distributions import COARSE_BINS
from dna_pipelines.identity import N_BLOCKS


def slow_fold(values, lo, hi, n_bins, blocks):
    """Histogram, tallies and block counts of `values` (n_images, n_neurons, n_positions)."""
    n_images, n_neurons, _ = values.shape
    counts = np.zeros((n_neurons, n_bins), np.uint64)
    coarse = np.zeros((n_neurons, N_BLOCKS, COARSE_BINS), np.uint64)
    tallies = {
        name: np.zeros(n_neurons, np.uint64) for name in ("clipped_low", "clipped_high", "n_zero", "n_nan", "n_values")
    }
    minimum, maximum = np.full(n_neurons, np.inf, np.float32), np.full(n_neurons, -np.inf, np.float32)
    for i in range(n_images):
        for d in range(n_neurons):
            for value in values[i, d]:
                if math.isnan(value):
                    tallies["n_nan"][d] += 1
                    continue
                place = _bin(value, lo[d], hi[d], n_bins)
                if value < lo[d]:
                    tallies["clipped_low"][d] += 1
                if value > hi[d]:
                    tallies["clipped_high"][d] += 1
                counts[d, place] += 1
                coarse[d, blocks[i], place * COARSE_BINS // n_bins] += 1
                tallies["n_values"][d] += 1
                tallies["n_zero"][d] += value == 0
                minimum[d], maximum[d] = min(minimum[d], value), max(maximum[d], value)
    return counts, coarse, tallies, minimum, maximum


def _bin(value, lo, hi, n_bins):
    if math.isinf(value):
        return 0 if value < 0 else n_bins - 1
    exact = (Fraction(float(value)) - Fraction(float(lo))) * n_bins / (Fraction(float(hi)) - Fraction(float(lo)))
    return min(max(math.floor(exact), 0), n_bins - 1)
