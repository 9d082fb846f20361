"""Two-sample statistics of features: of the sides as they are, and of permuted sides.

The sides are given by rows of weights over all features together, positive on one side and negative on the other.
Each side's weights sum to 1 in size; a feature that was drawn twice has twice the weight.
"""

from __future__ import annotations

import numpy as np

from dna_pipelines.comparison.multiplicity import exceedance_p
from dna_pipelines.comparison.significance import LEVEL


def permuted_weights(n_a: int, n_b: int, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """(1 + n_permutations, n_a + n_b): weights of the true sides (A first), and of permuted ones."""
    sides = np.repeat([1 / n_a, -1 / n_b], [n_a, n_b])
    return np.stack([sides, *(rng.permutation(sides) for _ in range(n_permutations))])


def rejects(statistics: np.ndarray) -> bool:
    """Whether the first statistic is significant among the permuted ones; rounding must not decide."""
    return exceedance_p(statistics) <= LEVEL + 1e-9


def standardised(features: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """To mean 0 and deviation 1 in every column, of these features or of others."""
    like = features if like is None else like
    return (features - like.mean(axis=0)) / (like.std(axis=0) + 1e-12)


def squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n_a, n_b) squared distances."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)


def median_width(features: np.ndarray) -> float:
    """The median squared distance of two of the features: the usual choice for a Gaussian kernel."""
    return float(np.median(squares(features, features)[np.triu_indices(len(features), 1)]))


def gaussian_kernel(features: np.ndarray, width: float | None = None) -> np.ndarray:
    """Of all pairs of the features. Its width is squared; where none is given, the median of these features."""
    return np.exp(-squares(features, features) / (width or median_width(features)))


def mmd(features: np.ndarray, weights: np.ndarray, width: float | None = None) -> np.ndarray:
    """Squared MMD with a Gaussian kernel, of every row of weights; an image and itself count as a pair.

    Args:
        features: (n, d).
        weights: (n_rows, n).
        width: see `gaussian_kernel`.
    """
    kernel = gaussian_kernel(features, width)
    return ((weights @ kernel) * weights).sum(axis=1)


def sliced(features: np.ndarray, weights: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Sliced Wasserstein-1 distance, the mean over directions, of every row of weights.

    Args:
        features: (n, d).
        weights: (n_rows, n).
        directions: (n_directions, d) unit vectors.
    """
    total = np.zeros(len(weights))
    for along in (features @ directions.T).T:
        order = along.argsort()
        # Between two neighbours both distribution functions are constant.
        total += np.abs(weights[:, order[:-1]].cumsum(axis=1)) @ np.diff(along[order])
    return total / len(directions)


def unit_directions(n_directions: int, n_features: int, rng: np.random.Generator) -> np.ndarray:
    """Drawn evenly from the sphere."""
    drawn = rng.normal(size=(n_directions, n_features))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fd(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fréchet distance (covariances divided by n) of every row of weights.

    From inner products of the features alone: tr √(Σ_a Σ_b) is the sum of the singular values of the centred
    inner products of one side with the other, so no matrix is larger than the samples are.
    """
    inner = features @ features.T
    sides = np.maximum(weights, 0), np.maximum(-weights, 0)
    mean_distances = ((weights @ inner) * weights).sum(axis=1)
    traces = sum(side @ np.diag(inner) - ((side @ inner) * side).sum(axis=1) for side in sides)
    distances = mean_distances + traces
    for row in range(len(weights)):
        # The side with fewer features first, for a smaller matrix.
        (a, p), (b, q) = sorted(
            ((np.flatnonzero(side[row]), side[row]) for side in sides), key=lambda side: len(side[0])
        )
        p, q, across = p[a], q[b], inner[np.ix_(a, b)]
        of_b, of_a = across @ q, p @ across
        centred = (across - of_a - of_b[:, None] + p @ of_b) * np.sqrt(p)[:, None] * np.sqrt(q)
        distances[row] -= 2 * np.sqrt(np.maximum(np.linalg.eigvalsh(centred @ centred.T), 0)).sum()
    return distances
