"""What a DNA says about one dataset: which neurons are idle or at their limit, and how rich its layers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Covariance, Histogram, Layers, Moments

_ROWS = 512
"""Neurons whose counts are turned into floats at once."""

_NEAR_LIMIT = 0.01
"""Of the occupied bins, the part next to a limit that counts as being at it."""

_SATURATED = 0.5
"""The share of a neuron's values at a limit from which on it is saturated."""

STATES = ("dead", "silent", "saturated")
"""What a neuron can be said to be; silent ones are dead."""


@dataclass(frozen=True, eq=False)
class NeuronTraits:
    """One number for each neuron, over all layers.

    Attributes:
        dead: gave one and the same value everywhere; such a neuron carries no information about its dataset.
        silent: that value is zero.
        saturated: at least half of its values are at its largest value or, unless that is zero, at its
            smallest: in the outermost hundredth of the bins it occupies. Constant ones are not.
        zero_share: share of its values that are exactly zero.
        clipped_share: share of its values outside the activation range.
        kurtosis: excess kurtosis of its values (0 for a Gaussian), from the histogram, so values outside the
            range count as at its edge; NaN where all of them are in one bin.

    All are False or NaN for a neuron without values.
    """

    dead: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    zero_share: NDArray[np.float64]
    clipped_share: NDArray[np.float64]
    kurtosis: NDArray[np.float64]

    @staticmethod
    def of(histogram: Histogram) -> NeuronTraits:
        """From the histogram alone."""
        n = histogram.n_values.astype(np.float64)
        values = n > 0

        def share(counted: NDArray[np.uint64]) -> NDArray[np.float64]:
            return np.asarray(np.divide(counted.astype(np.float64), n, out=np.full(n.shape, np.nan), where=values))

        dead = values & (histogram.minimum == histogram.maximum)
        return NeuronTraits(
            dead,
            dead & (histogram.minimum == 0),
            ~dead & (_at_limit(histogram) >= _SATURATED),
            share(histogram.n_zero),
            share(histogram.clipped_low + histogram.clipped_high),
            _kurtosis(histogram.counts),
        )


@dataclass(frozen=True)
class LayerTraits:
    """One layer of a DNA. Shares and kurtosis as in `NeuronTraits`, None where nothing is known.

    Attributes:
        zero_share, clipped_share: of all values of the layer.
        kurtosis: the median over neurons.
        effective_rank: exp of the entropy of the covariance's normalised eigenvalues (Roy and Vetterli, 2007):
            how many directions the images differ in. At most n_images - 1.
        participation_ratio: (Σλ)² / Σλ²; the same question, with large eigenvalues counting for more.
        spread: √Σλ, the root mean square distance of an image from the mean, in activation units.

    The last three are of position-averaged activations, in layers that keep a covariance.
    """

    layer: str
    kind: str
    n_neurons: int
    n_dead: int
    n_silent: int
    n_saturated: int
    zero_share: float | None
    clipped_share: float | None
    kurtosis: float | None
    effective_rank: float | None = None
    participation_ratio: float | None = None
    spread: float | None = None
    n_images: int | None = None
    """Images in the covariance, which bound the rank."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


def layer_traits(layers: Layers, histogram: Histogram, moments: Moments) -> list[LayerTraits]:
    """Every layer of a DNA, in order."""
    each = NeuronTraits.of(histogram)
    found = []
    for layer in layers:
        part = layers.slices[layer.name]
        n_values = float(histogram.n_values[part].sum())
        clipped = float(histogram.clipped_low[part].sum() + histogram.clipped_high[part].sum())
        known = each.kurtosis[part][np.isfinite(each.kurtosis[part])]
        found.append(
            LayerTraits(
                layer.name,
                layer.kind,
                layer.n_neurons,
                int(each.dead[part].sum()),
                int(each.silent[part].sum()),
                int(each.saturated[part].sum()),
                float(histogram.n_zero[part].sum()) / n_values if n_values else None,
                clipped / n_values if n_values else None,
                float(np.median(known)) if known.size else None,
                **_richness(moments.covariances.get(layer.name)),
            )
        )
    return found


def neurons_of(layers: Layers, chosen: NDArray[np.bool_]) -> list[str]:
    """Neurons as `layer:3,17`, one text a layer, as selections are written."""
    found = []
    for name, part in layers.slices.items():
        bins = np.flatnonzero(chosen[part])
        if bins.size:
            found.append(f"{name}:{','.join(map(str, bins.tolist()))}")
    return found


def became(before: NeuronTraits, after: NeuronTraits) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What neurons became between two DNAs: dead, alive again (no longer dead), saturated, or no longer."""
    yield "newly dead", ~before.dead & after.dead
    yield "newly alive", before.dead & ~after.dead
    yield "newly saturated", ~before.saturated & after.saturated
    yield "no longer saturated", before.saturated & ~after.saturated


def effective_rank(covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Effective rank (Roy and Vetterli, 2007) and participation ratio of a covariance matrix.

    Returns:
        Both between 1 and the number of rows, equal for a flat spectrum; NaN where nothing varies.
    """
    values = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    total = values.sum()
    if not total > 0:
        return nan, nan
    shares = values / total
    present = shares[shares > 0]
    return float(np.exp(-(present * np.log(present)).sum())), float(1 / (shares**2).sum())


def _richness(covariance: Covariance | None) -> Mapping[str, Any]:
    if covariance is None or covariance.n_images < 2:
        return {}
    rank, ratio = effective_rank(covariance.covariance)
    spread = float(np.sqrt(max(np.trace(covariance.covariance), 0.0)))
    if np.isnan(rank):
        return {"spread": spread, "n_images": covariance.n_images}
    return {
        "effective_rank": rank,
        "participation_ratio": ratio,
        "spread": spread,
        "n_images": covariance.n_images,
    }


def _by_rows(counts: NDArray[np.uint64], measure: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Any:
    parts = [measure(counts[start : start + _ROWS].astype(np.float64)) for start in range(0, len(counts), _ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _kurtosis(counts: NDArray[np.uint64]) -> Any:
    """Excess kurtosis of bins, (n_neurons,): it does not depend on where the bins are, nor on how wide."""
    bins = np.arange(counts.shape[1], dtype=np.float64)

    def measure(some: NDArray[np.float64]) -> NDArray[np.float64]:
        n = some.sum(axis=1)
        mean = np.divide(some @ bins, n, out=np.full(n.shape, np.nan), where=n > 0)
        away = (bins - mean[:, None]) ** 2
        variance, fourth = (some * away).sum(axis=1), (some * away**2).sum(axis=1)
        normal = np.divide(fourth * n, variance**2, out=np.full(n.shape, np.nan), where=variance > 0)
        return np.asarray(normal - 3.0)

    return _by_rows(counts, measure)


def _at_limit(histogram: Histogram) -> Any:
    """The share of a neuron's values at its largest or (unless that is zero) its smallest, whichever is more."""
    counts = histogram.counts
    occupied = counts > 0
    first, last = occupied.argmax(axis=1), counts.shape[1] - 1 - occupied[:, ::-1].argmax(axis=1)
    # At least a bin, and never all of them: a neuron that is in one or two bins varies too little to be informative.
    width = np.maximum(1, np.ceil(_NEAR_LIMIT * (last - first + 1))).astype(np.int64)
    informative = last - first >= 2
    total = np.concatenate([np.zeros((len(counts), 1), np.uint64), counts.cumsum(axis=1)], axis=1)
    rows = np.arange(len(counts))
    n = np.maximum(histogram.n_values.astype(np.float64), 1.0)
    top = (total[rows, last + 1] - total[rows, last + 1 - width]).astype(np.float64) / n
    bottom = (total[rows, first + width] - total[rows, first]).astype(np.float64) / n
    bottom[histogram.minimum == 0] = 0.0
    top[histogram.maximum == 0] = 0.0
    return np.where(informative, np.maximum(top, bottom), 0.0)
