"""The distances of Visual DNA: EMD and NFD per neuron, FD per layer.

Definitions: Ramtoula et al., CVPR 2023. EMD is the 1-Wasserstein distance of two histograms; NFD
and FD are the Fréchet (2-Wasserstein) distances of two Gaussians (Dowson and Landau, 1982).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.cumulative import cumulative, pairwise_l1
from dna_pipelines.distributions import Covariance, Moments

F64 = NDArray[np.float64]


def emd_bins(counts_a: NDArray[np.uint64], counts_b: NDArray[np.uint64]) -> F64:
    """Earth mover's distance of each neuron's histograms.

    Σₖ |CDF_a(k) - CDF_b(k)|: the mean number of bins that mass has to move.

    Args:
        counts_a, counts_b: (n_neurons, n_bins); the totals may differ.

    Returns:
        (n_neurons,) in bins, from 0 to n_bins - 1; NaN where a side has no values.

    Raises:
        ValueError: when the shapes differ.
    """
    if counts_a.shape != counts_b.shape:
        raise ValueError(f"histograms of shapes {counts_a.shape} and {counts_b.shape} cannot be compared")
    left, right = cumulative(counts_a)[None], cumulative(counts_b)[None]
    return np.asarray(pairwise_l1(left, right, np.array([0]), np.array([0]))[0])


def nfd(a: Moments, b: Moments) -> F64:
    """Neuron-wise Fréchet distance: (μa - μb)² + σa² + σb² - 2·σa·σb.

    Returns:
        (n_neurons,) in squared activation units, at least 0; NaN with fewer than two images.
    """
    return np.asarray((a.mean - b.mean) ** 2 + (np.sqrt(a.variance) - np.sqrt(b.variance)) ** 2)


def fd(a: Covariance, b: Covariance) -> float:
    """Fréchet distance of two layers: |μa - μb|² + tr(A) + tr(B) - 2·tr((A½ B A½)½).

    By symmetric eigenvalues only, which stays real and stable for singular covariances. On the last
    pooling layer of Inception this is FID (Heusel et al., 2017).

    Returns:
        In squared activation units, at least 0; NaN with fewer than two images.
    """
    if a.n_images < 2 or b.n_images < 2:
        return float("nan")
    root = a.square_root
    product = root @ b.covariance @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return float(max(((a.mean - b.mean) ** 2).sum() + spread, 0.0))
