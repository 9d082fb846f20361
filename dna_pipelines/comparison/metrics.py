"""Every distance there is: its definition, what it takes, and what it cannot see.

`KEPT` ones are computed for all pairs and kept in the lake; the others on request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.cumulative import cumulative_distances, overlap_distances
from dna_pipelines.comparison.distances import emd_bins, fd, nfd
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.distributions import Moments
from dna_pipelines.dna import Comparable, require_comparable
from dna_pipelines.errors import NothingToCompare, UnknownName

F64 = NDArray[np.float64]
Counts = NDArray[np.uint64]
Takes = Literal["histogram", "moments", "covariance"]

OVERLAP_BINS = 25
"""Bins that distances of overlap join the histogram's to: over more of them, the sampling error of small samples
hides everything else (`python -m benchmarks.protocols bins`)."""

PSI_FLOOR = 1e-4
"""Added to the share of every bin before PSI, which an empty bin would make infinite."""


@dataclass(frozen=True)
class Metric:
    """One distance.

    Attributes:
        name: in commands, tables and code.
        title: in words.
        formula: of one neuron (FD: of one layer).
        low, high: its range; None where it has no end.
        unit: what it is measured in.
        is_metric: whether the triangle inequality holds between distributions.
        source: where it is from.
        takes: what of a DNA it is computed from.
        sees: what makes it large.
        blind_to: what it cannot see.
        kept: whether the lake keeps it for all pairs.
    """

    name: str
    title: str
    formula: str
    low: float
    high: float | None
    unit: str
    is_metric: bool
    source: str
    takes: Takes
    sees: str
    blind_to: str
    kept: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


_NOT_JOINT = "dependence between neurons (a view has neurons that show it)"
_COARSE = f"{_NOT_JOINT}; how far mass moved, beyond its bin; anything inside one of {OVERLAP_BINS} bins"
_OVERLAP = "how much of the mass is elsewhere, wherever that is"

METRICS = (
    Metric(
        "emd_bins", "earth mover's distance, in bins", "Σₖ |Fₐ(k) - F_b(k)|", 0, 999, "bins", True,
        "Rubner et al., 2000; Visual DNA, CVPR 2023", "histogram",
        "how far mass has to move, on average: shifts and changes of shape alike",
        f"{_NOT_JOINT}; what lies beyond the activation range; differences inside a bin", kept=True,
    ),
    Metric(
        "emd_range", "earth mover's distance, as a share of the activation range", "Σₖ |Fₐ(k) - F_b(k)| / bins",
        0, 1, "activation range", True, "as emd_bins", "histogram",
        "as emd_bins, whatever the number of bins", "as emd_bins", kept=True,
    ),
    Metric(
        "nfd", "neuron-wise Fréchet distance", "(μₐ - μ_b)² + (σₐ - σ_b)²", 0, None, "squared activation", False,
        "Dowson and Landau, 1982; Visual DNA, CVPR 2023", "moments",
        "changes of the mean and of the spread of images, largest where activations are large",
        f"{_NOT_JOINT}; shape beyond two moments; differences between positions of one image", kept=True,
    ),
    Metric(
        "fd", "Fréchet distance of a layer", "|μₐ - μ_b|² + tr(A + B - 2 (A^½ B A^½)^½)", 0, None,
        "squared activation", False, "Dowson and Landau, 1982; FID: Heusel et al., 2017", "covariance",
        "changes of means, spreads and correlations inside a layer that keeps a covariance",
        "shape beyond two moments; single neurons; small samples, of which it is biased upwards", kept=True,
    ),
    Metric(
        "ks", "Kolmogorov-Smirnov statistic", "maxₖ |Fₐ(k) - F_b(k)|", 0, 1, "share of values", True,
        "Kolmogorov, 1933; Smirnov, 1948", "histogram",
        "the largest share of values that lies on another side of some threshold",
        f"{_NOT_JOINT}; how far mass moved; changes in the tails",
    ),
    Metric(
        "energy", "energy distance", "√(2 Σₖ (Fₐ(k) - F_b(k))² / bins)", 0, sqrt(2), "√(activation range)", True,
        "Székely and Rizzo, 2013", "histogram",
        "as EMD, with more weight on large differences of the cumulative distributions",
        f"{_NOT_JOINT}; small shares of mass that move far, which EMD sees better",
    ),
    Metric(
        "js", "Jensen-Shannon distance", f"√(½ Σ p log₂(p/m) + ½ Σ q log₂(q/m)), m = ½ (p + q), {OVERLAP_BINS} bins",
        0, 1, "√bit", True, "Lin, 1991; Endres and Schindelin, 2003", "histogram", _OVERLAP, _COARSE,
    ),
    Metric(
        "hellinger", "Hellinger distance", f"√(1 - Σ √(p q)), {OVERLAP_BINS} bins", 0, 1, "none", True,
        "Hellinger, 1909; Beran, 1977", "histogram", f"{_OVERLAP}, small shares more than the others do", _COARSE,
    ),
    Metric(
        "psi", "population stability index",
        f"Σ (p - q) ln(p/q), {OVERLAP_BINS} bins, p = (share + ε) / (1 + {OVERLAP_BINS} ε), ε = {PSI_FLOOR:g}",
        0, 2 / (1 + OVERLAP_BINS * PSI_FLOOR) * log((1 + PSI_FLOOR) / PSI_FLOOR), "nat", False,
        "Jeffreys, 1946; credit scoring since the 1980s", "histogram",
        f"{_OVERLAP}; new or vanished values above all", f"{_COARSE}; ε decides what an empty bin counts",
    ),
)  # fmt: skip
"""In the order in which they are shown."""

KEPT = tuple(metric.name for metric in METRICS if metric.kept)
"""Columns of the view `matrix`; the others are computed on request."""


def metric(name: str) -> Metric:
    """One of them by name.

    Raises:
        UnknownName: listing those there are.
    """
    for one in METRICS:
        if one.name == name:
            return one
    known = [one.name for one in METRICS]
    raise UnknownName(
        f"there is no metric '{name}'; the metrics are: {', '.join(known)}", code="name.metric", name=name, known=known
    )


def histogram_distance(name: str, counts_a: Counts, counts_b: Counts) -> F64:
    """A distance of each neuron's histograms; the totals of the two sides may differ.

    Args:
        name: a metric that takes histograms.
        counts_a, counts_b: (n_neurons, n_bins).

    Returns:
        (n_neurons,), NaN where a side has no values.

    Raises:
        ValueError: when the shapes differ.
    """
    if counts_a.shape != counts_b.shape:
        raise ValueError(f"histograms of shapes {counts_a.shape} and {counts_b.shape} cannot be compared")
    return _OF_HISTOGRAMS[name](counts_a, counts_b)


def neuron_distances(a: Comparable, b: Comparable, name: str) -> F64:
    """A distance neuron by neuron; FD, which has none of neurons, is that of the layer for each of its neurons.

    Returns:
        (n_neurons,), NaN where there is none.

    Raises:
        Incomparable: when they were not measured the same way.
        NothingToCompare: when a side does not have what the metric takes.
        UnknownName: when there is no such metric.
    """
    asked = metric(name)
    require_comparable(a, b)
    if asked.takes == "histogram":
        if a.counts is None or b.counts is None:
            raise _missing(asked)
        return histogram_distance(name, a.counts, b.counts)
    if a.moments is None or b.moments is None:
        raise _missing(asked)
    return moment_distance(name, a.moments, b.moments, a.layers.slices)


def _missing(asked: Metric) -> NothingToCompare:
    needs = {"histogram": "histograms", "moments": "moments", "covariance": "covariances"}[asked.takes]
    return NothingToCompare(
        f"{asked.name} needs {needs} on both sides",
        code="compare.missing-measure",
        metric=asked.name,
        needs=[asked.takes],
    )


def moment_distance(name: str, a: Moments, b: Moments, slices: dict[str, slice]) -> F64:
    """NFD or FD, see `neuron_distances`; `slices` says where the neurons of each layer are."""
    if name == "nfd":
        return nfd(a, b)
    values = np.full(len(a.mean), np.nan)
    for layer in a.covariances.keys() & b.covariances.keys():
        values[slices[layer]] = fd(a.covariances[layer], b.covariances[layer])
    return values


def summary_in(a: Comparable, b: Comparable, name: str, selection: Selection) -> dict[str, Any]:
    """A distance over a selection of neurons and layer by layer, as a JSON value.

    FD is given for whole layers alone, and its mean is over layers, as everywhere.
    """
    values, of_layers = neuron_distances(a, b, name), metric(name).takes == "covariance"
    rows: list[dict[str, Any]] = []
    for layer in selection.names():
        part = selection.layers.slice_of(layer)
        inside = Selection(selection.layers, np.zeros_like(selection.weights))
        inside.weights[part] = selection.weights[part]
        known = np.isfinite(values) & (inside.weights > 0)
        whole = bool((inside.weights[part] > 0).all())
        top = None if of_layers or not known.any() else int(np.argmax(np.where(known, values, -np.inf)))
        rows.append({
            "layer": layer,
            "n_neurons": int(known.sum()),
            "value": inside.mean(values) if whole or not of_layers else float("nan"),
            "top_neuron": None if top is None else top - part.start,
            "top_neuron_value": None if top is None else float(values[top]),
        })  # fmt: skip
    of_each = [row["value"] for row in rows if np.isfinite(row["value"])]
    mean = (float(np.mean(of_each)) if of_each else float("nan")) if of_layers else selection.mean(values)
    return {"a": a.label, "b": b.label, "metric": name, "unit": metric(name).unit, "value": mean, "layers": rows}


def _energy(counts_a: Counts, counts_b: Counts) -> F64:
    return np.asarray(np.sqrt(2 * cumulative_distances(counts_a, counts_b)[1] / counts_a.shape[1]))


def _overlaps(counts_a: Counts, counts_b: Counts) -> F64:
    n_bins = counts_a.shape[1]
    # Files of other programs have as many bins as they like: where they cannot be joined, all are taken.
    width = n_bins // OVERLAP_BINS if n_bins % OVERLAP_BINS == 0 else 1
    return overlap_distances(counts_a, counts_b, width, PSI_FLOOR)


_OF_HISTOGRAMS: dict[str, Callable[[Counts, Counts], F64]] = {
    "emd_bins": emd_bins,
    "emd_range": lambda a, b: emd_bins(a, b) / a.shape[1],
    "ks": lambda a, b: cumulative_distances(a, b)[2],
    "energy": _energy,
    "js": lambda a, b: np.asarray(np.sqrt(_overlaps(a, b)[0])),
    "hellinger": lambda a, b: np.asarray(np.sqrt(_overlaps(a, b)[1])),
    "psi": lambda a, b: _overlaps(a, b)[2],
}
