"""Duplicates within and between datasets: the same bytes, and images that look the same to the network.

Two images are near-duplicates when their sign codes differ in few bits, which finds candidates among billions of pairs,
and their averages over positions lie close together, which sorts out those that only share the signs. Plain images are
all alike to a network, so these are compared by their bytes only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.analysis.images.featureless import NEAR, from_one_colour, one_coloured_features
from dna_pipelines.comparison.codes import near_pairs
from dna_pipelines.comparison.scores import finite
from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_BITS = 0.10
"""Largest share of the bits that may differ (measured: benchmarks/duplicates.py)."""

MOST_DISTANCE = 0.2
"""Largest root mean square difference over neurons, in spreads of both sides together (likewise)."""

_NEURONS = 8


@dataclass(frozen=True)
class Pair:
    """Two images that are the same or nearly so.

    Attributes:
        place_a, place_b: in the rows of either side.
        n_bits: that differ.
        distance: see `MOST_DISTANCE`.
        exact: their bytes are equal.
    """

    place_a: int
    place_b: int
    n_bits: int
    distance: float
    exact: bool


@dataclass(frozen=True, eq=False)
class Duplicates:
    """All pairs of two sets of images, or of one with itself.

    Attributes:
        a, b: the images; the same object within one set.
        pairs: of different bytes each once, the nearest first; equal bytes give one pair however often they occur.
        n_bits: of a code.
        exact_a, near_a, exact_b, near_b: images of either side that have a copy on the other: of the same bytes, and
            of those that have none, those that have one which is nearly the same. Within one set, of bytes that
            occur several times one image is no copy.
        plain_a, plain_b: images of either side that were compared by their bytes only; see `plain`.
        plain_unknown: why plain images could not be told from others; None where they could.
    """

    a: FeatureTable
    b: FeatureTable
    pairs: tuple[Pair, ...]
    n_bits: int
    exact_a: int
    near_a: int
    exact_b: int
    near_b: int
    plain_a: int
    plain_b: int
    plain_unknown: str | None = None

    @property
    def within(self) -> bool:
        """Whether it is one set of images."""
        return self.a is self.b

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "a": self.a.label,
            "b": None if self.within else self.b.label,
            "n_images_a": len(self.a),
            "n_images_b": len(self.b),
            "n_bits": self.n_bits,
            "n_exact_a": self.exact_a,
            "n_near_a": self.near_a,
            "n_exact_b": self.exact_b,
            "n_near_b": self.near_b,
            "n_plain_a": self.plain_a,
            "n_plain_b": self.plain_b,
            "plain_unknown": self.plain_unknown,
            "pairs": [
                {
                    "path_a": self.a.rows[pair.place_a].name,
                    "path_b": self.b.rows[pair.place_b].name,
                    "digest_a": self.a.features.digests[pair.place_a],
                    "digest_b": self.b.features.digests[pair.place_b],
                    "exact": pair.exact,
                    "n_bits": pair.n_bits,
                    "distance": pair.distance,
                }
                for pair in self.pairs
            ],
        }


def find_duplicates(
    project: ProjectFolder,
    a: str,
    b: str | None = None,
    *,
    extractor: str | None = None,
    most_bits: float = MOST_BITS,
    most_distance: float = MOST_DISTANCE,
    progress: Progress | None = None,
) -> Duplicates:
    """The duplicates within A, or those that A and B share.

    Args:
        project: where they are.
        a, b: datasets, versions or slices.
        extractor: one of the project's; its first by default.
        most_bits, most_distance: how far near-duplicates may differ; see `MOST_BITS` and `MOST_DISTANCE`.
        progress: shows the images of slices being extracted.

    Raises:
        NothingToCompare: when a side has no DNA.
        UserError: when far too many pairs are that near.
    """
    name = project.extractor_name(extractor)
    left = feature_table(project, a, name, progress)
    right = left if b is None else feature_table(project, b, name, progress)
    one_colour, unknown = _one_colour(project, left, name, progress)
    return replace(duplicates_of(left, right, most_bits, most_distance, one_colour), plain_unknown=unknown)


def leakage(
    project: ProjectFolder,
    references: Sequence[str],
    *,
    extractor: str | None = None,
    most_bits: float = MOST_BITS,
    most_distance: float = MOST_DISTANCE,
    progress: Progress | None = None,
) -> list[Duplicates]:
    """What every dataset shares with itself and with every other, one result for each pair."""
    name = project.extractor_name(extractor)
    rows = [feature_table(project, reference, name, progress) for reference in references]
    pairs = [(one, one) for one in rows] + list(combinations(rows, 2))
    (one_colour, unknown), found = _one_colour(project, rows[0], name, progress), []
    with (progress or Silent()).task("looking for duplicates", len(pairs)) as advance:
        for left, right in pairs:
            found.append(duplicates_of(left, right, most_bits, most_distance, one_colour))
            advance(1)
    return [replace(one, plain_unknown=unknown) for one in found]


def duplicates_of(
    a: FeatureTable, b: FeatureTable, most_bits: float, most_distance: float, one_colour: ImageFeatures | None
) -> Duplicates:
    """See `find_duplicates`; the same object twice asks for the duplicates within it.

    Args:
        a, b: the images.
        most_bits, most_distance: see `find_duplicates`.
        one_colour: images of one colour; without them no image is plain.
    """
    within = a is b
    places_a, places_b = _places(a), _places(b)
    scales = _scales(a, b)
    plain_a, plain_b = _plain(a, b, one_colour, scales)
    # One image for each digest: a thousand equal ones would be half a million pairs.
    first_a, first_b = (
        np.array([places[0] for places in of.values() if not plain[places[0]]], np.int64)
        for of, plain in ((places_a, plain_a), (places_b, plain_b))
    )
    n_bits = 8 * a.features.signs.shape[1]
    codes = a.features.signs[first_a], b.features.signs[first_b]
    near = near_pairs(codes[0], None if within else codes[1], int(most_bits * n_bits))
    one, other = first_a[near.first], first_b[near.second]
    distances = _distances(a, b, one, other, scales)
    digests_a, digests_b = np.array(a.features.digests), np.array(b.features.digests)
    kept = (distances <= most_distance) & (digests_a[one] != digests_b[other])
    pairs = [
        Pair(int(left), int(right), int(bits), float(distance), exact=False)
        for left, right, bits, distance in zip(one[kept], other[kept], near.n_bits[kept], distances[kept], strict=True)
    ]
    equal = [digest for digest in places_a if (len(places_a[digest]) > 1 if within else digest in places_b)]
    same = [Pair(places_a[digest][0], places_b[digest][1 if within else 0], 0, 0.0, exact=True) for digest in equal]
    counts = _counts(places_a, places_b, equal, [(digests_a[p.place_a], digests_b[p.place_b]) for p in pairs], within)
    ordered = sorted([*same, *pairs], key=lambda pair: (not pair.exact, pair.distance, pair.place_a, pair.place_b))
    return Duplicates(a, b, tuple(ordered), n_bits, *counts, int(plain_a.sum()), int(plain_b.sum()))


def _one_colour(
    project: ProjectFolder, like: FeatureTable, name: str, progress: Progress | None
) -> tuple[ImageFeatures | None, str | None]:
    """Images of one colour, or why they cannot be had: then near copies are looked for all the same."""
    try:
        return one_coloured_features(project, like, name, progress), None
    except UserError as error:
        return None, str(error)


def _counts(
    places_a: dict[str, list[int]],
    places_b: dict[str, list[int]],
    equal: list[str],
    near: list[tuple[str, str]],
    within: bool,
) -> tuple[int, int, int, int]:
    known = set(equal)
    near_a, near_b = {left for left, _ in near}, {right for _, right in near}
    if within:
        exact = sum(len(places_a[digest]) - 1 for digest in equal)
        alike = sum(len(places_a[digest]) for digest in (near_a | near_b) - known)
        return exact, alike, exact, alike
    exact_a, exact_b = (sum(len(places[digest]) for digest in equal) for places in (places_a, places_b))
    alike_a = sum(len(places_a[digest]) for digest in near_a - known)
    alike_b = sum(len(places_b[digest]) for digest in near_b - known)
    return exact_a, alike_a, exact_b, alike_b


def _places(rows: FeatureTable) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, digest in enumerate(rows.features.digests):
        found[digest].append(place)
    return dict(found)


def _scales(a: FeatureTable, b: FeatureTable) -> dict[str, F64]:
    """By layer, the spread of each neuron over both sides; 1 where it has none."""
    found = {}
    for name, left in a.features.pooled.items():
        sides = [left] if a is b else [left, b.features.pooled[name]]
        spread = np.ones(left.shape[1])
        if any(map(len, sides)):
            # Few neurons at a time: all of a million images would take gigabytes in double precision.
            for start in range(0, len(spread), _NEURONS):
                part = slice(start, start + _NEURONS)
                spread[part] = np.nanstd(np.concatenate([finite(side[:, part]) for side in sides]), axis=0)
        found[name] = np.where(spread > 0, spread, 1.0)
    return found


def _plain(
    a: FeatureTable, b: FeatureTable, one_colour: ImageFeatures | None, scales: dict[str, F64]
) -> tuple[Mask, Mask]:
    """Which images of either side are plain, by what is usual on both."""
    if one_colour is None:
        return np.zeros(len(a.features.digests), bool), np.zeros(len(b.features.digests), bool)
    left = from_one_colour(a.features, one_colour, scales)
    right = left if a is b else from_one_colour(b.features, one_colour, scales)
    limit = NEAR * np.nanmedian(np.concatenate([left, right])) if len(left) + len(right) else 0.0
    return left <= limit, right <= limit


def _distances(
    a: FeatureTable, b: FeatureTable, one: NDArray[np.int64], other: NDArray[np.int64], scales: dict[str, F64]
) -> F64:
    """Root mean square differences of pairs, each neuron in units of its spread over both sides; NaN with a NaN."""
    squares = np.zeros(len(one))
    for name, scale in scales.items():
        left, right = a.features.pooled[name], b.features.pooled[name]
        for start in range(0, len(one), 4096):
            some = slice(start, start + 4096)
            squares[some] += (((finite(left[one[some]]) - finite(right[other[some]])) / scale) ** 2).sum(axis=1)
    return np.sqrt(squares / max(sum(map(len, scales.values())), 1))
