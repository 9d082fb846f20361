"""The p-values of an observed distance among permuted ones: of the mean, of each neuron, and of both combined.

A small change of many neurons shows in the mean distance, a change of few neurons in the strongest of them. The same
permutations give both, so a combined p-value keeps its level: that p-value decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.multiplicity import combined_p, exceedance_p, max_statistic_p
from dna_pipelines.comparison.tails import ENOUGH, tail_p

F64 = NDArray[np.float64]

SHARES = (0.2, 0.8)
"""Shares of the level for the mean distance and for the strongest neuron, which detects most changes sooner (measured:
`python -m benchmarks.protocols power`)."""


@dataclass(frozen=True, eq=False)
class PValues:
    """The p-values of the observed distances among those of permutations.

    Attributes:
        p: of the mean distance and the strongest neuron combined, which decides; see `combined_p`.
        p_tail: the same, a tail estimate where few permutations reach the observed distances; for corrections over many
            comparisons.
        tail_estimated: whether `p_tail` is a tail estimate.
        p_mean: of the weighted mean distance alone, (k + 1) / (n_permutations + 1).
        p_strongest: likewise of the largest standardised distance of any neuron, times its weight.
        means: (1 + n_permutations,) the weighted mean distance of each permutation; the first is the observed one.
        neuron_p: (n_neurons,) of each neuron, corrected for all of them; NaN where all permutations give the same.
    """

    p: float
    p_tail: float
    tail_estimated: bool
    p_mean: float
    p_strongest: float
    means: F64
    neuron_p: F64


def p_values(permuted: NDArray[Any], weights: F64, smallest: float = 0.0) -> PValues:
    """The p-values of the observed distances among those of permutations.

    Args:
        permuted: (1 + n_permutations, n_neurons) distances; the first row is the observed one.
        weights: (n_neurons,) above 0.
        smallest: the lower bound of the tail estimate of each statistic; see `tail_p`.

    Returns:
        see `PValues`; `p_strongest` is NaN where no neuron varies among the permutations, and the mean decides alone.
    """
    means = weighted_mean(permuted, weights)
    neuron_p, standardised, varies = family_wise(permuted)
    # A neuron that hardly counts must not decide; of equal weights this changes nothing.
    standardised *= weights[varies]
    strongest = standardised.max(axis=1) if len(varies) else np.full(len(permuted), np.nan)
    both = np.stack([means, strongest], axis=1)
    p, tails = combined_p(both, SHARES), [tail_p(statistic, smallest).p for statistic in both.T]
    # After Bonferroni, which far out in the tail is nearly exact.
    few = p * len(permuted) - 1 < ENOUGH
    p_tail = float(np.fmin(p, np.fmin(*np.divide(tails, SHARES)))) if few else p
    return PValues(p, p_tail, p_tail < p, exceedance_p(means), exceedance_p(strongest), means, neuron_p)


def weighted_mean(permuted: NDArray[np.float32], weights: F64) -> F64:
    """The weighted mean of each row over the neurons that have a distance in all of them; NaN if no neuron has."""
    known = np.isfinite(permuted).all(axis=0)
    if not known.any():
        return np.full(len(permuted), np.nan)
    return np.asarray(permuted[:, known] @ weights[known] / weights[known].sum())


def family_wise(permuted: NDArray[Any]) -> tuple[F64, F64, NDArray[np.intp]]:
    """The p-value of every column, corrected for all of them by the largest of their standardised distances.

    Mean and spread include the observed row: otherwise only the observed row could be far out in both.

    Returns:
        (n_columns,) p, NaN where a column does not vary; the standardised distances of those that do, and which.
    """
    mean, spread = permuted.mean(axis=0, dtype=np.float64), permuted.std(axis=0, dtype=np.float64)
    varies = np.flatnonzero(np.isfinite(spread) & (spread > 1e-12))
    standardised = (permuted[:, varies] - mean[varies]) / spread[varies]
    p = np.full(permuted.shape[1], np.nan)
    p[varies] = max_statistic_p(standardised)
    return p, standardised, varies
