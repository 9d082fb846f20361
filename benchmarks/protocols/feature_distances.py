"""Distances of two sets of feature vectors that others compare images with: FD, KID, MMD, and PRDC."""

from __future__ import annotations

import numpy as np

from benchmarks.protocols.two_samples import gaussian_kernel, squares, standardised
from dna_pipelines.distributions import Covariance

Rows = np.ndarray
"""(n_images, n_features)."""

N_NEAREST = 5
"""The k of PRDC, as in its paper."""


def bell(rows: Rows) -> Covariance:
    """What FD compares; its square root is computed once, for as many comparisons as it is the first side of."""
    return Covariance.of(rows.astype(float))


def kid(a: Rows, b: Rows) -> float:
    """Kernel Inception Distance (Bińkowski et al., 2018) on any features: the unbiased squared MMD with the kernel
    (x·y / d + 1)³, over all images at once instead of random subsets."""
    a, b = a.astype(float), b.astype(float)
    return unbiased(*((x @ y.T / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))))


def unbiased_mmd(a: Rows, b: Rows) -> float:
    """The unbiased squared MMD with a Gaussian kernel as wide as the median distance of all images of both sides,
    on features scaled to their variance there."""
    kernel, n = gaussian_kernel(standardised(np.concatenate([a, b]).astype(float))), len(a)
    return unbiased(kernel[:n, :n], kernel[n:, n:], kernel[:n, n:])


def unbiased(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> float:
    """From the kernel of all pairs: an image and itself are no pair."""
    within = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in (aa, bb)]
    return float(sum(within) - 2 * ab.mean())


def prdc(real: Rows, fake: Rows, k: int = N_NEAREST) -> dict[str, float]:
    """Precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

    An image's ball reaches to its k-th nearest neighbour on its own side.
    """
    real, fake = real.astype(float), fake.astype(float)
    between = np.sqrt(squares(real, fake))
    of_real, of_fake = (np.sort(np.sqrt(squares(features, features)), axis=1)[:, k] for features in (real, fake))
    in_real, in_fake = between <= of_real[:, None], between <= of_fake
    return {
        "precision": float(in_real.any(axis=0).mean()),
        "recall": float(in_fake.any(axis=1).mean()),
        "density": float(in_real.sum() / (k * len(fake))),
        "coverage": float(in_real.any(axis=1).mean()),
    }
