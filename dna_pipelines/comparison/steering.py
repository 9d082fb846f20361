"""Neuron weights that respond to an attribute, or ignore it, learned from distances.

A contrast is the distance, neuron by neuron, of two sets of images that differ in something: an attribute
that one has and the other has not, or nothing but chance (random halves of one set). Weights are
learned from contrasts alone, so images, labels and networks are not needed here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import NothingToCompare

F64 = NDArray[np.float64]

TOP_SHARE = 0.05
"""The share of neurons that respond."""

EMPHASIS = 10.0
"""The weight of what is to be ignored, relative to what is to be kept."""

RIDGE = 0.003
"""The penalty on unequal weights: without it, a handful of neurons would make up the whole distance."""

_STEPS = 200


def respond(target: F64, others: F64, noise: F64, share: float = TOP_SHARE) -> F64:
    """Weights 1 for the neurons that distinguish an attribute from everything else, 0 for the others.

    A neuron's score is the target's distance over the largest of its other distances. The ratio of the
    weighted distances (the selectivity) is at least the smallest score that was chosen, because the largest
    of sums is at most the sum of the largest.

    Args:
        target: (n_target, n_neurons) contrasts of the attribute; their mean counts.
        others: (n_others, n_neurons) contrasts of other attributes, maybe none.
        noise: (n_noise, n_neurons) contrasts of nothing but chance; their mean counts.
        share: the share of the neurons with a score that is chosen; at least one is.

    Returns:
        (n_neurons,) of 0 and 1. Neurons that are NaN in a contrast, or do not differ in the target, get 0.

    Raises:
        NothingToCompare: when no neuron differs in the target's contrasts.
    """
    signal, against = target.mean(axis=0), np.vstack([others, noise.mean(axis=0)]).max(axis=0)
    known = np.isfinite(signal) & np.isfinite(against) & (signal > 0)
    if not known.any():
        raise _nothing_learned("no neuron differs between the images with and without the attribute")
    score = np.full(signal.shape, -np.inf)
    # A neuron that differs in the target alone, or all but alone, comes before all others.
    with np.errstate(over="ignore"):
        score[known] = np.divide(signal, against, out=np.full(signal.shape, np.inf), where=against > 0)[known]
    n_chosen = max(1, round(share * int(known.sum())))
    # Stable, so that equal scores are decided by the order of the neurons on every machine.
    weights = np.zeros(signal.shape)
    weights[np.argsort(-score, kind="stable")[:n_chosen]] = 1.0
    return weights


def respond_by_squares(target: F64, others: F64, noise: F64, *, emphasis: float = 2.0, ridge: float = RIDGE) -> F64:
    """Weights under which an attribute makes a difference, and other attributes make as little as possible.

    Non-negative least squares: the weighted distance is to be 1 for the target and 0 for everything else.
    Neurons whose other distances are of different kinds balance each other, which no ranking can do.

    Args:
        target, others, noise: as for `respond`, except that each contrast counts by itself.
        emphasis: the weight of what is to be 0, relative to what is to be 1.
        ridge: see `RIDGE`.

    Returns:
        (n_neurons,) at least 0, not all 0, with mean 1. Neurons that are NaN in a contrast get 0.

    Raises:
        NothingToCompare: when no neuron differs in the target's contrasts.
    """
    rows = np.vstack([target, emphasis * others, emphasis * noise])
    known = np.asarray(np.isfinite(rows).all(axis=0))
    size = target[:, known].sum() / len(target)
    if not size > 0:
        raise _nothing_learned("no neuron differs between the images with and without the attribute")
    wanted = np.zeros(len(rows))
    wanted[: len(target)] = 1.0
    return _everywhere(known, nearest_weights(rows[:, known] / size, wanted, ridge / known.sum(), about=0.0))


def ignore(ignored: F64, kept: F64, *, emphasis: float = EMPHASIS, ridge: float = RIDGE) -> F64:
    """Weights under which an attribute makes no difference, and others make the difference they made.

    Non-negative least squares: the weighted distance is to be 0 for what is ignored, and for what is kept as
    large as with equal weights. Every contrast is taken relative to its own size, so weak attributes are kept
    as well as strong ones.

    Args:
        ignored: (n_ignored, n_neurons) contrasts of what is to be ignored.
        kept: (n_kept, n_neurons) contrasts of what is to be kept.
        emphasis: see `EMPHASIS`.
        ridge: see `RIDGE`.

    Returns:
        (n_neurons,) at least 0, not all 0, with mean 1. Neurons that are NaN in a contrast get 0.

    Raises:
        NothingToCompare: when nothing differs in what is to be kept.
    """
    rows = np.vstack([ignored, kept])
    known = np.asarray(np.isfinite(rows).all(axis=0))
    sizes = rows[:, known].sum(axis=1)
    # A contrast without any difference is ignored already, and cannot be kept.
    differs = sizes > 0
    to_keep = np.arange(len(rows)) >= len(rows) - len(kept)
    if not (differs & to_keep).any():
        raise _nothing_learned("nothing differs in what is to be kept")
    strength = np.where(to_keep, 1.0, emphasis)
    scaled = rows[:, known] / np.where(differs, sizes, 1.0)[:, None] * strength[:, None]
    wanted = to_keep[differs].astype(np.float64)
    return _everywhere(known, nearest_weights(scaled[differs], wanted, ridge / known.sum(), about=1.0))


def nearest_weights(rows: F64, wanted: F64, ridge: float, *, about: float) -> F64:
    """The w >= 0 that minimises |rows @ w - wanted|² + ridge · |w - about|².

    There are few rows and many neurons. With y = wanted - rows @ w the optimum is w = max(0, about + rowsᵀ y / ridge),
    which leaves as many unknowns as there are rows; Newton's method finds the zero of a function that is piecewise
    linear in them, exactly and in a few steps. (Lawson and Hanson's algorithm works on a matrix of neurons by
    neurons, and scipy, which implements it, is not a dependency.)

    Args:
        rows: (n_rows, n_neurons).
        wanted: (n_rows,).
        ridge: more than 0, which makes the optimum unique.
        about: the weight that the penalty pulls neurons to.
    """
    y = np.zeros(len(rows))

    def weights(at: F64) -> F64:
        return np.asarray(np.maximum(0.0, about + rows.T @ at / ridge))

    def height(at: F64) -> float:
        # Convex, and its gradient is `slope`: a step that lowers it is a step towards the optimum.
        return float(at @ at / 2 + ridge * (weights(at) ** 2).sum() / 2 - wanted @ at)

    for _ in range(_STEPS):
        w = weights(y)
        slope = y + rows @ w - wanted
        if np.abs(slope).max() <= 1e-12 * max(1.0, float(np.abs(wanted).max())):
            break
        active = rows[:, w > 0]
        step = np.linalg.solve(np.eye(len(rows)) + active @ active.T / ridge, slope)
        length, before, gain = 1.0, height(y), float(slope @ step)
        while length > 1e-10 and height(y - length * step) > before - 1e-4 * length * gain:
            length /= 2
        y = y - length * step
    return weights(y)


def _everywhere(known: NDArray[np.bool_], values: F64) -> F64:
    weights = np.zeros(known.shape)
    weights[known] = values
    return np.asarray(weights / weights.mean())


def _nothing_learned(reason: str) -> NothingToCompare:
    return NothingToCompare(f"nothing can be learned: {reason}", code="selection.nothing-learned", reason=reason)
