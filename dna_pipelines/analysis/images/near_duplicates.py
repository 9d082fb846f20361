"""Near-duplicates: pairs of images whose sign codes differ in few bits and whose features lie close together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.analysis.images.featureless import NEAR, distance_from_single_colours
from dna_pipelines.comparison.codes import near_pairs
from dna_pipelines.comparison.scores import finite
from dna_pipelines.distributions import ImageFeatures

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

_NEURONS = 8
_PAIRS = 4096
"""The numbers of neurons and of pairs that are processed at a time, to limit memory."""


@dataclass(frozen=True)
class Pair:
    """Two images that are the same or nearly the same.

    Attributes:
        index_a, index_b: into the table of each set.
        n_bits: the number of bits that differ.
        distance: root mean square difference over neurons, in units of the spread of both sets together.
        exact: whether their bytes are equal.
    """

    index_a: int
    index_b: int
    n_bits: int
    distance: float
    exact: bool


def near_duplicates(
    a: FeatureTable,
    b: FeatureTable,
    candidates: tuple[NDArray[np.int64], NDArray[np.int64]],
    scales: dict[str, F64],
    most_bits: float,
    most_distance: float,
) -> list[Pair]:
    """The pairs of candidates with different bytes that are within the limits."""
    candidates_a, candidates_b = candidates
    codes_a, codes_b = a.features.signs[candidates_a], b.features.signs[candidates_b]
    near = near_pairs(codes_a, None if a is b else codes_b, int(most_bits * 8 * a.features.signs.shape[1]))
    first, second = candidates_a[near.first], candidates_b[near.second]
    distances = _distances(a, b, first, second, scales)
    digests_a, digests_b = np.array(a.features.digests), np.array(b.features.digests)
    kept = (distances <= most_distance) & (digests_a[first] != digests_b[second])
    columns = (first[kept], second[kept], near.n_bits[kept], distances[kept])
    return [
        Pair(int(index_a), int(index_b), int(n_bits), float(distance), exact=False)
        for index_a, index_b, n_bits, distance in zip(*columns, strict=True)
    ]


def scales_of(a: FeatureTable, b: FeatureTable) -> dict[str, F64]:
    """By layer, the standard deviation of each neuron over both sets; 1 where it is 0."""
    scales = {}
    for name, features in a.features.pooled.items():
        both = [features] if a is b else [features, b.features.pooled[name]]
        spread = np.ones(features.shape[1])
        if any(map(len, both)):
            for start in range(0, len(spread), _NEURONS):
                some = slice(start, start + _NEURONS)
                spread[some] = np.nanstd(np.concatenate([finite(rows[:, some]) for rows in both]), axis=0)
        scales[name] = np.where(spread > 0, spread, 1.0)
    return scales


def featureless_masks(
    a: FeatureTable, b: FeatureTable, single_colours: ImageFeatures | None, scales: dict[str, F64]
) -> tuple[Mask, Mask]:
    """Which images of each set are featureless, relative to the median of both sets."""
    if single_colours is None:
        return np.zeros(len(a.features.digests), bool), np.zeros(len(b.features.digests), bool)
    far_a = distance_from_single_colours(a.features, single_colours, scales)
    far_b = far_a if a is b else distance_from_single_colours(b.features, single_colours, scales)
    limit = NEAR * np.nanmedian(np.concatenate([far_a, far_b])) if len(far_a) + len(far_b) else 0.0
    return far_a <= limit, far_b <= limit


def _distances(
    a: FeatureTable, b: FeatureTable, first: NDArray[np.int64], second: NDArray[np.int64], scales: dict[str, F64]
) -> F64:
    """Root mean square differences of pairs, each neuron in units of its spread over both sets; NaN with a NaN."""
    squares = np.zeros(len(first))
    for name, scale in scales.items():
        rows_a, rows_b = a.features.pooled[name], b.features.pooled[name]
        for start in range(0, len(first), _PAIRS):
            some = slice(start, start + _PAIRS)
            differences = (finite(rows_a[first[some]]) - finite(rows_b[second[some]])) / scale
            squares[some] += (differences**2).sum(axis=1)
    return np.sqrt(squares / max(sum(map(len, scales.values())), 1))
