"""How unlike a reference single images are, by their activations averaged over positions.

The features of one image (means over positions) are compared with those of the reference's images, never with its
histogram, which counts positions: an average lies nearer to the middle than most of what it is an average of, so
against the histogram every image would look typical. A score is larger the less an image fits; a neuron in which an
image has no number is left out of its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Rows = NDArray[np.floating]

_PART = 256
_LARGEST = 1e4
"""Means over positions lie within the activation range; a value that is infinite in float16 counts as this."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Histograms over a reference's images, neuron by neuron.

    Attributes:
        edges: (n_neurons, n_bins - 1) between the bins; the outer ones are open.
        counts: (n_neurons, n_bins).
    """

    edges: F64
    counts: NDArray[np.int64]

    @staticmethod
    def equal_width(rows: Rows, n_bins: int) -> Bins:
        """Bins of one width from the smallest to the largest value, and an empty one on each side."""
        values = finite(rows)
        lowest, highest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        # Beyond the last edge belongs to the open bin, so it lies just above the largest value.
        highest = np.nextafter(np.maximum(highest, lowest + 1e-6), np.inf)
        edges = lowest[:, None] + (highest - lowest)[:, None] * np.linspace(0, 1, n_bins + 1)
        # Rounding must not leave the largest value outside.
        edges[:, -1] = highest
        return Bins.at(edges, rows)

    @staticmethod
    def equal_counts(rows: Rows, n_bins: int) -> Bins:
        """Edges at the quantiles of some images; the counts are theirs."""
        inner = np.linspace(0, 1, n_bins + 1)[1:-1]
        return Bins.at(np.nanquantile(finite(rows), inner, axis=0).T, rows)

    @staticmethod
    def at(edges: F64, rows: Rows) -> Bins:
        """The counts of some images between given edges."""
        counts = np.zeros((len(edges), edges.shape[1] + 1), np.int64)
        bins = Bins(edges, counts)
        for start in range(0, len(rows), _PART):
            indices = bins.indices(rows[start : start + _PART])
            neurons = np.broadcast_to(np.arange(len(edges)), indices.shape)
            np.add.at(counts, (neurons[indices >= 0], indices[indices >= 0]), 1)
        return bins

    def indices(self, rows: Rows) -> NDArray[np.int64]:
        """(n_images, n_neurons) the index of the bin of each value; -1 for NaN."""
        values = finite(rows)
        columns = [np.searchsorted(edges, values[:, d], side="right") for d, edges in enumerate(self.edges)]
        return np.where(np.isnan(values), -1, np.stack(columns, axis=1))

    def counts_at(self, rows: Rows, *, own: bool) -> F64:
        """(n_images, n_neurons) how many images share the bin; NaN for NaN. `own`: the rows themselves do not count."""
        indices = self.indices(rows)
        counts = self.counts[np.arange(len(self.counts)), indices].astype(np.float64) - own
        return np.where(indices >= 0, counts, np.nan)


def finite(rows: Rows) -> F64:
    """In float64, with infinities replaced by the largest values that arithmetic can use."""
    return np.asarray(np.clip(np.asarray(rows, np.float64), -_LARGEST, _LARGEST))


def log_ratio(rows: Rows, a: Rows, b: Rows, *, own: bool = False, n_bins: int = 20) -> F64:
    """How much likelier an image is under a than under b: Σ ln(p_a / p_b) / number of neurons.

    Bins hold equal shares of both sides together; each count is one larger than observed (Laplace), so that
    no ratio is infinite.

    Args:
        rows, a, b: (n_images, n_neurons).
        own: the rows are a's, and each is left out of a's counts.
        n_bins: for each neuron.

    Returns:
        (n_images,) in nats for each neuron.
    """
    edges = Bins.equal_counts(np.concatenate([a, b]), n_bins).edges
    n_a, n_b = len(a) - own, len(b)
    under_a = Bins.at(edges, a).counts_at(rows, own=own)
    under_b = Bins.at(edges, b).counts_at(rows, own=False)
    ratio = np.log((under_a + 1) / (n_a + n_bins)) - np.log((under_b + 1) / (n_b + n_bins))
    return _mean(ratio)


def rarity(rows: Rows, reference: Rows, *, own: bool = False, n_bins: int = 50, seldom: float = 0.02) -> F64:
    """1 - neuron activation coverage: the share of neurons whose value lies where the reference rarely has any.

    Coverage is that of Liu, Tian, Li, Ma, Wang and Li, "Neuron activation coverage" (ICLR 2024): min(n / r, 1), a
    mean over neurons, with n the reference's images in the bin. There is no classifier here, so a neuron's state is
    its activation, without the gradient that the paper multiplies it with.

    Args:
        rows, reference: (n_images, n_neurons).
        own: the rows are the reference's, and each is left out of it.
        n_bins: between the smallest and the largest value of a neuron.
        seldom: r as a share of the reference's images.

    Returns:
        (n_images,) from 0 to 1; NaN where the reference has no other image.
    """
    if len(reference) <= own:
        return np.full(len(rows), np.nan)
    counts = Bins.equal_width(reference, n_bins).counts_at(rows, own=own)
    return _mean(1 - np.minimum(counts / (seldom * (len(reference) - own)), 1))


def mahalanobis(rows: Rows, mean: F64, covariance: F64, n_images: int, rounding: F64 | float = 0.0) -> F64:
    """Squared distance from a mean in units of a covariance, divided by the number of neurons.

    The covariance is shrunk towards its diagonal by d / (d + n), because with few images it has directions without
    any spread.

    Args:
        rows: (n_images, n_neurons) in the units of the mean and the covariance.
        mean: (n_neurons,).
        covariance: (n_neurons, n_neurons).
        n_images: that the covariance was taken from.
        rounding: (n_neurons,) the rounding error of the rows, which counts as spread: without it an image would be
            infinitely far from copies of itself.

    Returns:
        (n_images,), about 1 for images of the reference; NaN for an image with a NaN.
    """
    width = len(mean)
    shrinkage = width / (width + n_images)
    variance = np.diag(covariance)
    floor = max(float(variance.max(initial=0.0)) * 1e-9, np.finfo(np.float64).tiny)
    shrunk = (1 - shrinkage) * covariance + np.diag(shrinkage * variance + floor + np.square(rounding))
    root = np.linalg.cholesky(shrunk)
    white = np.linalg.solve(root, (finite(rows) - mean).T)
    return np.asarray((white**2).sum(axis=0) / width)


def nearest(rows: Rows, reference: Rows, *, own: bool = False, k: int = 5) -> F64:
    """The distance to the k-th nearest image of a reference (Sun et al., 2022), each neuron in its own spread.

    Neurons without a number in any image of the reference are left out, and then images of it with a NaN.

    Args:
        rows, reference: (n_images, n_neurons).
        own: the rows are the reference's, and each is left out of it.
        k: with fewer images, the farthest.

    Returns:
        (n_images,) root of the mean square over neurons; NaN for an image with a NaN, and without a reference.
    """
    known = finite(reference)
    numbers = ~np.isnan(known).all(axis=0)
    rows, known = rows[:, numbers], known[:, numbers]
    known = known[~np.isnan(known).any(axis=1)]
    if len(known) <= own or not numbers.any():
        return np.full(len(rows), np.nan)
    spread = known.std(axis=0)
    # A neuron that never moves in the reference has no unit of its own.
    scale = np.where(spread > 0, spread, spread.mean() or 1.0)
    known = known / scale
    squares, rank = (known**2).sum(axis=1), min(k + own, len(known)) - 1
    out = np.empty(len(rows))
    for start in range(0, len(rows), _PART):
        some = finite(rows[start : start + _PART]) / scale
        distances = (some**2).sum(axis=1)[:, None] + squares - 2 * some @ known.T
        out[start : start + _PART] = np.partition(distances, rank, axis=1)[:, rank]
    return np.asarray(np.sqrt(np.maximum(out, 0.0) / rows.shape[1]))


def exceeded(scores: F64, of_reference: F64) -> F64:
    """The share of a reference's images that score at least as much, (k + 1) / (n + 1): a conformal p-value."""
    ordered = np.sort(of_reference[~np.isnan(of_reference)])
    above = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.asarray(np.where(np.isnan(scores), np.nan, (above + 1) / (len(ordered) + 1)))


def _mean(values: F64) -> F64:
    """Over neurons that have a number; NaN where none has."""
    known = ~np.isnan(values)
    n_known = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, n_known, out=np.full(len(values), np.nan), where=n_known > 0))
