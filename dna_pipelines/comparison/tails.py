"""p-values smaller than the number of resamples can show, from the tail of what was resampled.

Thousands of comparisons need p-values far below 1 / 1,000. Beyond a high threshold, distributions look like
a generalised Pareto distribution, so one is fitted to the largest resampled statistics (Knijnenburg et al.,
Fewer permutations, more accurate P-values, 2009), by the estimator of Zhang and Stephens (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.multiplicity import exceedance_p

F64 = NDArray[np.float64]

ENOUGH = 10
"""With so many resampled statistics beyond the observed one, no tail estimate is needed."""

_MOST, _FEWEST, _STEP = 250, 50, 25
"""Exceedances that are fitted: fewer and fewer, until the fit is good."""

_SIMULATED = 199
_GATE = 0.05


@dataclass(frozen=True)
class TailP:
    """A p-value, and whether it was estimated from the tail."""

    p: float
    estimated: bool


def tail_p(statistics: F64, smallest: float = 0.0) -> TailP:
    """The p-value of the first statistic among the others, estimated from the tail where few of them reach it.

    Tails lighter than an exponential one are taken for exponential, because a lighter fit ends somewhere, and
    gives 0 beyond. Of light tails that makes small p-values too large; of tails heavier than any that the largest
    250 of the others show, they are too small (docs/significance.md).

    Args:
        statistics: (1 + n_resamples,) the first one was observed.
        smallest: no p-value is below it; the number of distinct permutations bounds what any test can say.
    """
    observed, others = float(statistics[0]), np.sort(statistics[1:])[::-1]
    counted = exceedance_p(statistics)
    if not np.isfinite(statistics).all() or counted * len(statistics) - 1 >= ENOUGH:
        return TailP(counted, False)
    for n_beyond in range(min(_MOST, len(others) // 4), _FEWEST - 1, -_STEP):
        threshold = (others[n_beyond - 1] + others[n_beyond]) / 2
        beyond = others[:n_beyond] - threshold
        if beyond[-1] <= 0 or observed <= threshold:
            continue
        shape, scale = fit_pareto(beyond[None])
        if _fits(beyond, float(shape[0]), float(scale[0])):
            share = _survival(np.array([observed - threshold]), shape, scale)[0]
            return TailP(max(float(share) * n_beyond / len(others), smallest), True)
    return TailP(counted, False)


def fit_pareto(beyond: F64) -> tuple[F64, F64]:
    """The shape ξ and scale σ of generalised Pareto distributions; ξ is at least 0.

    Args:
        beyond: (n_samples, n) exceedances, each above 0; any order.

    Returns:
        (n_samples,) both. ξ = 0 is the exponential distribution, with the mean as its scale.
    """
    ordered = np.sort(beyond, axis=1)
    n = ordered.shape[1]
    n_grid = 30 + int(n**0.5)
    # b = -ξ/σ of the papers, on a grid that depends on the first quartile and the largest value.
    grid = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    b = grid / (3 * ordered[:, [max(int(n / 4 + 0.5) - 1, 0)]]) + 1 / ordered[:, [-1]]
    shapes = np.log1p(-b[:, :, None] * ordered[:, None, :]).mean(axis=2)
    likelihood = n * (np.log(-b / shapes) - shapes - 1)
    weights = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    best = (b * weights).sum(axis=1) / weights.sum(axis=1)
    shape = np.log1p(-best[:, None] * ordered).mean(axis=1)
    heavy = shape > 0
    mean = ordered.mean(axis=1)
    return np.where(heavy, shape, 0.0), np.where(heavy, -shape / np.where(heavy, best, 1.0), mean)


def _survival(x: F64, shape: F64, scale: F64) -> F64:
    heavy = shape > 1e-9
    safe = np.where(heavy, shape, 1.0)
    return np.where(heavy, (1 + safe * x / scale) ** (-1 / safe), np.exp(-x / scale))


def _fits(beyond: F64, shape: float, scale: float) -> bool:
    """Whether as good a fit is common among samples of the fitted distribution (each fitted again, as this one was)."""
    # Of the same numbers each time: a result must not depend on when it is asked for.
    uniform = np.random.default_rng(0).random((_SIMULATED, len(beyond)))
    drawn = scale * ((uniform**-shape - 1) / shape if shape > 1e-9 else -np.log(uniform))
    everything = np.concatenate([beyond[None], drawn])
    shapes, scales = fit_pareto(everything)
    distances = _anderson_darling(everything, shapes[:, None], scales[:, None])
    return exceedance_p(distances) > _GATE


def _anderson_darling(x: F64, shape: F64, scale: F64) -> F64:
    """(n_samples,) the distance A² of samples from their distributions; it minds the tail."""
    above = np.sort(np.clip(_survival(x, shape, scale), 1e-300, 1 - 1e-12), axis=1)
    n = above.shape[1]
    odd = 2 * np.arange(1, n + 1) - 1
    # A² is the same of survival functions as of distribution functions.
    return np.asarray(-n - (odd * (np.log(above) + np.log1p(-above[:, ::-1]))).sum(axis=1) / n)
