"""The mean of several DNAs: for every neuron the Wasserstein barycentre of its distributions.

In one dimension the barycentre's quantile function is the mean of the quantile functions (Agueh and Carlier,
2011), so it is exact and needs no iteration. Other than a sum of counts, which has a peak for every dataset,
the mean of distributions that are shifted against each other is one that lies in their middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.cumulative import cumulative
from dna_pipelines.distributions import Moments
from dna_pipelines.dna import Comparable, ImportedDna, require_comparable
from dna_pipelines.errors import NothingToCompare

F64 = NDArray[np.float64]

TOTAL = 2**40
"""The counts of each neuron of a barycentre add up to this: shares are exact to 1e-12."""


def barycentre(dnas: Sequence[Comparable], weights: Sequence[float] | None = None) -> ImportedDna:
    """The mean of DNAs, to compare others with. It has no id and no blocks, and is kept nowhere.

    Gaussians have theirs in closed form: the mean of the means and the mean of the standard deviations. A
    full covariance is not averaged, so there is no FD to the result.

    Args:
        dnas: of one comparability key, all with histograms and moments.
        weights: one for each, at least 0 and not all 0; equal ones by default.

    Raises:
        Incomparable: when they were not measured the same way.
        NothingToCompare: when no DNA is given, or one has no histograms or moments.
    """
    if not dnas:
        raise NothingToCompare("the mean of no DNAs is not defined; give at least one", code="compare.mean-of-none")
    for other in dnas[1:]:
        require_comparable(dnas[0], other)
    shares = _shares(weights, len(dnas))
    counts, moments = [], []
    for dna in dnas:
        if dna.counts is None or dna.moments is None:
            raise NothingToCompare(
                f"{dna.label} has no histograms or no moments; a mean needs both",
                code="compare.missing-measure",
                label=dna.label,
                needs=["histogram", "moments"],
            )
        counts.append(dna.counts)
        moments.append(dna.moments)
    n_images = int(min(int(one.n_images.max(initial=0)) for one in moments))
    return ImportedDna(
        dnas[0].key,
        dnas[0].layers,
        n_images,
        mean_counts(counts, shares),
        _mean_moments(moments, shares),
        f"the mean of {len(dnas)} DNAs",
    )


def mean_counts(counts: Sequence[NDArray[np.uint64]], weights: Sequence[float] | F64) -> NDArray[np.uint64]:
    """The barycentre of histograms, neuron by neuron, as counts that add up to `TOTAL`.

    The mean of whole bins need not be a whole bin: such mass is split between its two neighbours so that its
    mean stays, which moves it by at most half a bin.

    Args:
        counts: (n_neurons, n_bins) of each DNA.
        weights: of each, adding up to 1.

    Returns:
        (n_neurons, n_bins); all 0 for neurons without values in one of them.
    """
    from dna_pipelines.comparison.kernels import average_quantiles

    stacked = np.stack([cumulative(one) for one in counts], axis=1)
    masses = np.zeros((stacked.shape[0], stacked.shape[2] + 1))
    average_quantiles(stacked, np.asarray(weights, np.float64), masses)
    # Cumulated, then rounded: no bin's rounding adds to another's, and the last is exactly the total.
    sums = np.rint(masses[:, :-1].cumsum(axis=1) * TOTAL)
    return np.asarray(np.diff(sums, axis=1, prepend=0.0).astype(np.uint64))


def _mean_moments(moments: Sequence[Moments], shares: F64) -> Moments:
    n = np.min([one.n_images for one in moments], axis=0)
    mean = sum((share * one.mean for share, one in zip(shares, moments, strict=True)), np.zeros(len(n)))
    spread = sum((share * np.sqrt(one.variance) for share, one in zip(shares, moments, strict=True)), np.zeros(len(n)))
    m2 = np.where(n > 1, np.nan_to_num(spread) ** 2 * (np.maximum(n.astype(np.float64), 1.0) - 1.0), 0.0)
    return Moments(n, mean, m2)


def _shares(weights: Sequence[float] | None, n: int) -> F64:
    given = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any() or not given.sum() > 0:
        raise ValueError(f"give {n} weights for {n} DNAs, none below 0 and not all 0")
    return np.asarray(given / given.sum())
