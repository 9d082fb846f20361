"""How well scores agree with what is known: of an order, of two groups, and the interval of a mean over repeats."""

from __future__ import annotations

import numpy as np

from benchmarks.protocols.attributes import T95


def kendall(values: np.ndarray) -> float:
    """τ of values that ought to fall from each to the next; a tie counts as neither (τ-a)."""
    first, second = np.triu_indices(len(values), 1)
    return float(np.sign(np.asarray(values)[first] - np.asarray(values)[second]).mean())


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """ρ, with mean ranks of ties; NaN where a side is all ties."""
    left, right = _ranks(a), _ranks(b)
    if left.std() == 0 or right.std() == 0:
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values)
    below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + not_above) / 2


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The share of pairs in which the one outside scores higher; ties count half."""
    ordered = np.sort(inside)
    below, not_above = (np.searchsorted(ordered, outside, side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(ordered)))


def mean_interval(values: np.ndarray) -> str:
    """The mean of repeats, and its 95 % interval by Student's t."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return f"{values.mean():.3f}"
    half = T95[len(values)] * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.3f} ± {half:.3f}"
