"""Duplicates within and between datasets: the same bytes, and images that look the same to the network.

Two images are near-duplicates if their sign codes differ in few bits, which finds candidates among billions of pairs,
and their features lie close together, which excludes images that only share the signs. Featureless images are alike to
every network, so they are compared by their bytes only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.aliases import with_aliases
from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.analysis.images.featureless import single_colour_features
from dna_pipelines.analysis.images.near_duplicates import Mask, Pair, featureless_masks, near_duplicates, scales_of
from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder

Indices = dict[str, list[int]]
"""The indices of the images with each digest."""

MOST_BITS = 0.10
"""The largest share of the bits that may differ (measured: benchmarks/duplicates.py)."""

MOST_DISTANCE = 0.2
"""The largest root mean square difference over neurons, in units of the spread of both sets together (likewise)."""


@dataclass(frozen=True, eq=False)
class Duplicates:
    """All pairs of duplicates of two sets of images, or within one set.

    Attributes:
        a, b: the images; the same object within one set.
        pairs: exact ones first, then the nearest first. Equal bytes give one pair, however often they occur.
        n_bits: the length of a code.
        exact_a, near_a, exact_b, near_b: the number of images of each set that have an exact copy in the other, and
            of the remaining ones those that have a near copy. Within one set, one of several images with equal bytes
            counts as no copy.
        featureless_a, featureless_b: the number of images of each set that were compared by their bytes only.
        featureless_unknown: why featureless images could not be recognized; None if they could.
    """

    a: FeatureTable
    b: FeatureTable
    pairs: tuple[Pair, ...]
    n_bits: int
    exact_a: int
    near_a: int
    exact_b: int
    near_b: int
    featureless_a: int
    featureless_b: int
    featureless_unknown: str | None = None

    @property
    def within(self) -> bool:
        """Whether these are duplicates within one set of images."""
        return self.a is self.b

    def facts(self) -> dict[str, Any]:
        """The numbers of the result, by name."""
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
            "n_featureless_a": self.featureless_a,
            "n_featureless_b": self.featureless_b,
            "featureless_unknown": self.featureless_unknown,
        }

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, with the former names of keys."""
        return {**with_aliases(self.facts()), "pairs": [self._pair_json(pair) for pair in self.pairs]}

    def _pair_json(self, pair: Pair) -> dict[str, Any]:
        return {
            "path_a": self.a.rows[pair.index_a].name,
            "path_b": self.b.rows[pair.index_b].name,
            "digest_a": self.a.features.digests[pair.index_a],
            "digest_b": self.b.features.digests[pair.index_b],
            "exact": pair.exact,
            "n_bits": pair.n_bits,
            "distance": pair.distance,
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
        project: the project that has the images.
        a, b: datasets, versions or slices.
        extractor: one of the project's; its first by default.
        most_bits, most_distance: limits of near-duplicates; see `MOST_BITS` and `MOST_DISTANCE`.
        progress: shows the images of slices that are extracted.

    Raises:
        NothingToCompare: when a set has no DNA.
        UserError: when far too many pairs are within the limits (`compare.too-many-pairs`).
    """
    name = project.extractor_name(extractor)
    table_a = feature_table(project, a, name, progress)
    table_b = table_a if b is None else feature_table(project, b, name, progress)
    single_colours, unknown = _single_colours(project, table_a, name, progress)
    duplicates = duplicates_of(table_a, table_b, most_bits, most_distance, single_colours)
    return replace(duplicates, featureless_unknown=unknown)


def leakage(
    project: ProjectFolder,
    references: Sequence[str],
    *,
    extractor: str | None = None,
    most_bits: float = MOST_BITS,
    most_distance: float = MOST_DISTANCE,
    progress: Progress | None = None,
) -> list[Duplicates]:
    """The duplicates within every dataset and between every two, one result each."""
    name = project.extractor_name(extractor)
    tables = [feature_table(project, reference, name, progress) for reference in references]
    pairs = [(table, table) for table in tables] + list(combinations(tables, 2))
    single_colours, unknown = _single_colours(project, tables[0], name, progress)
    results = []
    with (progress or Silent()).task("looking for duplicates", len(pairs)) as advance:
        for a, b in pairs:
            duplicates = duplicates_of(a, b, most_bits, most_distance, single_colours)
            results.append(replace(duplicates, featureless_unknown=unknown))
            advance(1)
    return results


def duplicates_of(
    a: FeatureTable, b: FeatureTable, most_bits: float, most_distance: float, single_colours: ImageFeatures | None
) -> Duplicates:
    """The duplicates of two tables, or within one if both are the same object.

    Args:
        a, b: the images.
        most_bits, most_distance: see `find_duplicates`.
        single_colours: features of images of a single colour; without them no image is featureless.
    """
    within = a is b
    indices_a, indices_b = _indices(a), _indices(b)
    scales = scales_of(a, b)
    featureless_a, featureless_b = featureless_masks(a, b, single_colours, scales)
    candidates = _representatives(indices_a, featureless_a), _representatives(indices_b, featureless_b)
    near = near_duplicates(a, b, candidates, scales, most_bits, most_distance)
    shared = [digest for digest in indices_a if (len(indices_a[digest]) > 1 if within else digest in indices_b)]
    exact = [Pair(indices_a[digest][0], indices_b[digest][1 if within else 0], 0, 0.0, exact=True) for digest in shared]
    near_digests = [(a.features.digests[pair.index_a], b.features.digests[pair.index_b]) for pair in near]
    counts = _counts(indices_a, indices_b, shared, near_digests, within)
    ordered = sorted([*exact, *near], key=lambda pair: (not pair.exact, pair.distance, pair.index_a, pair.index_b))
    n_bits = 8 * a.features.signs.shape[1]
    return Duplicates(a, b, tuple(ordered), n_bits, *counts, int(featureless_a.sum()), int(featureless_b.sum()))


def _single_colours(
    project: ProjectFolder, like: FeatureTable, name: str, progress: Progress | None
) -> tuple[ImageFeatures | None, str | None]:
    """Features of images of a single colour, or why there are none: near-duplicates are then found without them."""
    try:
        return single_colour_features(project, like, name, progress), None
    except UserError as error:
        return None, str(error)


def _counts(
    indices_a: Indices, indices_b: Indices, shared: list[str], near: list[tuple[str, str]], within: bool
) -> tuple[int, int, int, int]:
    """`exact_a`, `near_a`, `exact_b` and `near_b` of `Duplicates`, of shared digests and pairs of digests."""
    exact = set(shared)
    near_a, near_b = {first for first, _ in near}, {second for _, second in near}
    if within:
        n_exact = sum(len(indices_a[digest]) - 1 for digest in shared)
        n_near = sum(len(indices_a[digest]) for digest in (near_a | near_b) - exact)
        return n_exact, n_near, n_exact, n_near
    exact_a, exact_b = (sum(len(indices[digest]) for digest in shared) for indices in (indices_a, indices_b))
    n_near_a = sum(len(indices_a[digest]) for digest in near_a - exact)
    n_near_b = sum(len(indices_b[digest]) for digest in near_b - exact)
    return exact_a, n_near_a, exact_b, n_near_b


def _indices(table: FeatureTable) -> Indices:
    indices: Indices = defaultdict(list)
    for index, digest in enumerate(table.features.digests):
        indices[digest].append(index)
    return dict(indices)


def _representatives(indices: Indices, featureless: Mask) -> NDArray[np.int64]:
    """One image of each digest that is not featureless: a thousand equal images would give half a million pairs."""
    return np.array([equal[0] for equal in indices.values() if not featureless[equal[0]]], np.int64)
