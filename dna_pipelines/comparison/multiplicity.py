"""Control over many tests at once: how often false findings may happen among thousands of p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def benjamini_hochberg(p: F64) -> F64:
    """Adjusted p-values that bound the share of false findings (Benjamini and Hochberg, 1995).

    Calling everything at most q a finding keeps the expected share of false ones at q or below, where the
    tests are independent or depend positively on each other.

    Args:
        p: (n_tests,); NaN was not tested and does not count.

    Returns:
        (n_tests,) at least p and at most 1; NaN where p is.
    """
    return _stepped_up(p, 1.0)


def benjamini_yekutieli(p: F64) -> F64:
    """The same under any dependence, at the price of a factor Σ 1/i (Benjamini and Yekutieli, 2001)."""
    n_tests = int(np.isfinite(p).sum())
    return _stepped_up(p, float((1.0 / np.arange(1, n_tests + 1)).sum()))


def max_statistic_p(statistics: F64) -> F64:
    """Family-wise p-values from the distribution of the largest statistic (Westfall and Young, 1993).

    Args:
        statistics: (1 + n_resamples, n_tests) on one scale; the first row is what was observed, and it counts
            among the others.

    Returns:
        (n_tests,) the share of rows in which any statistic reaches the observed one of this test. The chance
        of any false finding among those at most q is q, whatever the dependence of the tests.
    """
    if not statistics.shape[1]:
        return np.empty(0)
    largest = np.sort(statistics[1:].max(axis=1))
    n_reached = len(largest) - np.searchsorted(largest, _barely(statistics[0]), side="left")
    return np.asarray((n_reached + 1) / (len(largest) + 1))


def exceedance_p(statistics: F64) -> float:
    """The p-value (k + 1) / (B + 1), k of the B resampled statistics reaching the first one, which was observed.

    NaN where there is nothing to test.
    """
    return float(_share_as_far_out(statistics)[0]) if np.isfinite(statistics[0]) else float("nan")


def combined_p(statistics: F64, shares: Sequence[float]) -> float:
    """One p-value of several statistics of the same resamples: how rare the smallest of their p-values is.

    Every row gets the smallest of its p-values among all rows, each divided by its share, and p is the share of rows
    where that is as small as in the first one. Its level is that of each single test, however the statistics depend on
    each other (Tippett's combination, with resamples for its null: Pesarin and Salmaso, Permutation Tests for Complex
    Data, 2010).

    Args:
        statistics: (1 + n_resamples, n_statistics), larger is farther out; the first row is what was observed. A
            statistic that has a NaN does not count, and its share is not used.
        shares: of the level, for each statistic; together 1.

    Returns:
        at least the smallest of the single p-values, at most any of them divided by its share; NaN where none counts.
    """
    known = np.isfinite(statistics).all(axis=0)
    if not known.any():
        return float("nan")
    found = np.array([_share_as_far_out(column) for column in statistics.T[known]])
    smallest = (found / np.asarray(shares)[known, None]).min(axis=0)
    return float((smallest <= smallest[0]).mean())


def _share_as_far_out(statistic: F64) -> F64:
    """Of every row, the share of rows that reach it, itself among them."""
    ordered = np.sort(statistic)
    return np.asarray((len(ordered) - np.searchsorted(ordered, _barely(statistic), side="left")) / len(ordered))


def _barely(values: NDArray[np.float64] | np.float64) -> NDArray[np.float64] | np.float64:
    """A little less, so that equal statistics whose sums were rounded differently count as reached."""
    return values - 1e-6 * np.abs(values)


def _stepped_up(p: F64, factor: float) -> F64:
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * factor * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
