"""Rules that decide whether two samples of images differ, at a nominal 5 %: ours, and those of others."""

from __future__ import annotations

import numpy as np

from dna_pipelines.comparison.p_values import p_values
from dna_pipelines.comparison.permutation import Permutations, permute, permuted_distances, units_of
from dna_pipelines.comparison.significance import LEVEL, why_untestable

N_PERMUTATIONS = 199
N_BOOTSTRAP = 100


def ours(a, b, rng, n_permutations=N_PERMUTATIONS):
    """Whether the difference is significant: by p, by the mean alone, by any neuron alone; None if untestable."""
    if why_untestable(a[1], b[1]):
        return None
    units = units_of(a[1], b[1])
    return _decided(a, b, units, permute(units, n_permutations, rng))


def blocks_as_they_are(a, b, rng):
    """The same without merging blocks of the smaller side."""
    units = units_of(a[1], b[1], alike=False)
    return _decided(a, b, units, permute(units, N_PERMUTATIONS, rng))


def same_number(a, b, rng):
    """The same with as many blocks on each side as it had, whatever their size."""
    units = units_of(a[1], b[1], alike=False)
    on_a = np.arange(len(units.n_images)) < units.n_a
    permuted = rng.permuted(np.tile(on_a, (N_PERMUTATIONS, 1)), axis=1)
    scale = np.ones(1 + N_PERMUTATIONS)
    return _decided(
        a, b, units, Permutations(np.concatenate([on_a[None], permuted]), scale, n_ways=0.0, smallest_p=0.0)
    )


def _decided(a, b, units, permutations):
    permuted = permuted_distances(a[0], b[0], units, permutations)
    result = p_values(permuted, np.ones(permuted.shape[1]))
    # 10 of 200 is 5 %, and rounding must not decide.
    return [p <= LEVEL + 1e-9 for p in (result.p, result.p_mean, result.p_strongest)]


def ks_tokens(a, b, _rng):
    """Kolmogorov-Smirnov on all tokens of all images as if they were independent, Bonferroni over neurons."""
    shares, totals = [], []
    for counts, _, _ in (a, b):
        together = counts.sum(axis=1).astype(float)
        totals.append(together[0].sum())
        shares.append(together.cumsum(axis=1) / totals[-1])
    return _ks_rejects(np.abs(shares[0] - shares[1]).max(axis=1), *totals)


def ks_means(a, b, _rng):
    """The same on the means of images."""
    values = np.concatenate([a[2], b[2]])
    n_a, n_b = len(a[2]), len(b[2])
    return _ks_rejects(ks_statistics(values, n_a), n_a, n_b)


def ks_statistics(values, n_a):
    """Of every column, between its first n_a values and the others."""
    n_b, order = len(values) - n_a, values.argsort(axis=0)
    steps = np.concatenate([np.full(n_a, 1 / n_a), np.full(n_b, -1 / n_b)])[order].cumsum(axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    # Among equal values (of neurons that are mostly off, say) there is no order: only where they end counts.
    ends = np.ones(values.shape, bool)
    ends[:-1] = ordered[1:] != ordered[:-1]
    return np.abs(np.where(ends, steps, 0)).max(axis=0)


def _ks_rejects(distances, n_a, n_b):
    reach = distances * (n_a * n_b / (n_a + n_b)) ** 0.5
    terms = np.arange(1, 101)[:, None]
    p = 2 * ((-1.0) ** (terms - 1) * np.exp(-2 * terms**2 * np.maximum(reach, 0.2) ** 2)).sum(axis=0)
    return bool((p * len(p) <= LEVEL).any())


def evidently_mmd(a, b, rng):
    """Evidently's rule for embeddings by MMD with `bootstrap=True` and its defaults, on the means of images.

    Written after its documented behaviour: the statistic is above the 5th percentile of bootstrap samples of the
    reference.
    """
    x, y = a[2].astype(float), b[2].astype(float)
    m, n = len(x), len(y)
    observed = _mmd(_kernel(np.concatenate([x, y]), np.median(_distances(x, y))), np.arange(m), m + np.arange(n))
    own = _kernel(x, np.median(_distances(x, x)))
    size_x, size_y = max(m * m // (m + n), 1), max(m * n // (m + n), 1)
    drawn = [_mmd(own, rng.integers(0, m, size_x), rng.integers(0, m, size_y)) for _ in range(N_BOOTSTRAP)]
    return bool(observed > np.percentile(drawn, 5))


def _distances(x, y):
    return np.sqrt(np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T, 0))


def _kernel(x, width):
    return np.exp(-((_distances(x, x) / width) ** 2))


def _mmd(kernel, x, y):
    xx, yy = kernel[np.ix_(x, x)], kernel[np.ix_(y, y)]
    m, n = len(x), len(y)
    within = (xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1))
    return within - 2 * kernel[np.ix_(x, y)].mean()
