"""How rare an observed distance is among permuted ones: of the mean, of each neuron, and of both as one.

A change of many neurons a little shows in the mean distance, a change of few neurons in the strongest of them. The
same permutations give both, so one p-value of both keeps its level: that one decides.
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
"""Of the level, for the mean distance and for the strongest neuron, which sees most changes much sooner (measured:
`python -m benchmarks.protocols power`)."""


@dataclass(frozen=True, eq=False)
class Chances:
    """How rare what was observed is among the permutations.

    Attributes:
        p: of the mean distance and the strongest neuron as one, which decides; see `combined_p`.
        p_tail: the same, estimated from the tail where few permutations reach what was observed; for corrections over
            many comparisons.
        tail_estimated: whether `p_tail` was.
        p_mean: of the weighted mean distance alone, (k + 1) / (n_permutations + 1).
        p_strongest: likewise of the largest standardised distance of any neuron, times its weight.
        means: (1 + n_permutations,) the weighted mean distance of each permutation; the first one was observed.
        neuron_p: (n_neurons,) of each, corrected for all of them; NaN where it is the same in every permutation.
    """

    p: float
    p_tail: float
    tail_estimated: bool
    p_mean: float
    p_strongest: float
    means: F64
    neuron_p: F64


def chances(permuted: NDArray[Any], weights: F64, smallest: float = 0.0) -> Chances:
    """How rare the observed distances are among those of permutations.

    Args:
        permuted: (1 + n_permutations, n_neurons) distances; the first row was observed.
        weights: (n_neurons,) above 0.
        smallest: no tail estimate of one statistic is below it; see `tail_p`.

    Returns:
        see `Chances`; `p_strongest` is NaN where no neuron varies among the permutations, and the mean decides alone.
    """
    means = weighted_mean(permuted, weights)
    neuron_p, standardised, varies = family_wise(permuted)
    # A neuron that hardly counts must not decide; of equal weights this changes nothing.
    standardised *= weights[varies]
    strongest = standardised.max(axis=1) if len(varies) else np.full(len(permuted), np.nan)
    both = np.stack([means, strongest], axis=1)
    p, tails = combined_p(both, SHARES), [tail_p(one, smallest).p for one in both.T]
    # After Bonferroni, which far out in the tail is nearly exact.
    few = p * len(permuted) - 1 < ENOUGH
    p_tail = float(np.fmin(p, np.fmin(*np.divide(tails, SHARES)))) if few else p
    return Chances(p, p_tail, p_tail < p, exceedance_p(means), exceedance_p(strongest), means, neuron_p)


def weighted_mean(permuted: NDArray[np.float32], weights: F64) -> F64:
    """The weighted mean of each row over the neurons that have a distance in all of them; NaN where none has."""
    known = np.isfinite(permuted).all(axis=0)
    if not known.any():
        return np.full(len(permuted), np.nan)
    return np.asarray(permuted[:, known] @ weights[known] / weights[known].sum())


def family_wise(permuted: NDArray[Any]) -> tuple[F64, F64, NDArray[np.intp]]:
    """The p-value of every column, corrected for all of them by the largest of their standardised distances.

    The observed row counts among the others in mean and spread too: else it alone could be far out in both.

    Returns:
        (n_columns,) p, NaN where a column does not vary; the standardised distances of those that do, and which.
    """
    mean, spread = permuted.mean(axis=0, dtype=np.float64), permuted.std(axis=0, dtype=np.float64)
    varies = np.flatnonzero(np.isfinite(spread) & (spread > 1e-12))
    standardised = (permuted[:, varies] - mean[varies]) / spread[varies]
    p = np.full(permuted.shape[1], np.nan)
    p[varies] = max_statistic_p(standardised)
    return p, standardised, varies
