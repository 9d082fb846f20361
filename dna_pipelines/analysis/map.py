"""All datasets at once: where they lie in a plane, which lie together, and how far each is from their mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.neuron_weights import extractor_layers
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.barycentre import mean_counts
from dna_pipelines.comparison.embedding import Join, Plane, average_linkage, best_cut, cut, plane_of, silhouette
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder

_FEWEST = 3
"""Datasets of a map."""


@dataclass(frozen=True, eq=False)
class Map:
    """All datasets of a matrix.

    Attributes:
        clusters: (n,) the cluster of each.
        joins: how they were joined, the nearest first.
        silhouette: of the clusters, -1 to 1; NaN where there is one.
        from_mean_bins: by dataset, EMD in bins to the mean of all DNAs, mean over the neurons that count; None if not
            asked for.
        left_out: datasets that have no such distance from any other.
    """

    matrix: Matrix
    plane: Plane
    clusters: NDArray[np.int64]
    joins: list[Join]
    silhouette: float
    from_mean_bins: dict[str, float] | None
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        datasets = [
            {
                "dataset": name,
                "x": float(x),
                "y": float(y),
                "cluster": int(cluster),
                **({"from_mean_bins": self.from_mean_bins[name]} if self.from_mean_bins else {}),
            }
            for name, (x, y), cluster in zip(self.matrix.names, self.plane.positions, self.clusters, strict=True)
        ]
        return {
            "extractor": self.matrix.extractor,
            "metric": self.matrix.metric,
            "selection": self.matrix.selection or None,
            "kept_share": self.plane.kept_share,
            "stress": self.plane.stress,
            "unflat_share": self.plane.unflat_share,
            "silhouette": self.silhouette,
            "left_out": list(self.left_out),
            "datasets": datasets,
            "joins": [vars(join) for join in self.joins],
        }


def make_map(
    project: ProjectFolder,
    matrix: Matrix,
    *,
    n_clusters: int | None = None,
    from_mean: bool = False,
    selection: Selection | None = None,
    progress: Progress | None = None,
) -> Map:
    """Place the datasets of a matrix in a plane, and group them.

    NFD and FD are squares of distances, so their roots are placed.

    Args:
        project: where the DNAs are.
        matrix: see `Project.matrix`.
        n_clusters: how many; by default what separates best.
        from_mean: also say how far each is from the mean of all.
        selection: the neurons that the matrix is over; by default all.
        progress: shows the layers of the mean.

    Raises:
        NothingToCompare: with fewer than three datasets, or when pairs are not compared yet.
    """
    matrix, left_out = _without_strangers(matrix)
    n = len(matrix.names)
    if n < _FEWEST:
        raise NothingToCompare(
            f"a map takes {_FEWEST} datasets with distances ({matrix.metric}) of {matrix.extractor}; there are {n}"
        )
    if np.isnan(matrix.values).any():
        a, b = (matrix.names[place] for place in np.argwhere(np.isnan(matrix.values))[0])
        raise NothingToCompare(f"{a} and {b} have no {matrix.metric}, maybe others; `dna run` compares what it can")
    if n_clusters is not None and not 1 <= n_clusters <= n:
        raise UserError(f"{n} datasets make 1 to {n} clusters, not {n_clusters}")
    distances = np.sqrt(matrix.values) if matrix.metric in ("nfd", "fd") else matrix.values
    distances = (distances + distances.T) / 2
    joins = average_linkage(distances)
    clusters = cut(joins, n_clusters) if n_clusters else best_cut(distances, joins)
    score = silhouette(distances, clusters) if 1 < clusters.max() + 1 < n else nan
    means = _from_mean(project, matrix, selection, progress) if from_mean else None
    return Map(matrix, plane_of(distances), clusters, joins, score, means, left_out)


def _without_strangers(matrix: Matrix) -> tuple[Matrix, tuple[str, ...]]:
    """The matrix without datasets that have no distance from any other, and their names: FD takes two images."""
    known = np.isfinite(matrix.values) & ~np.eye(len(matrix.names), dtype=bool)
    there = np.flatnonzero(known.any(axis=1))
    names = tuple(matrix.names[place] for place in there)
    left_out = tuple(name for name in matrix.names if name not in names)
    return replace(matrix, names=names, values=matrix.values[np.ix_(there, there)]), left_out


def _from_mean(
    project: ProjectFolder, matrix: Matrix, selection: Selection | None, progress: Progress | None
) -> dict[str, float]:
    """Layer by layer, so that no more than one layer of all DNAs is in memory."""
    current, store = current_dnas(project, matrix.extractor), project.lake.fingerprints
    names = [name for name in matrix.names if name in current]
    layers = extractor_layers(project, matrix.extractor)
    sums, n_known = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    chosen = selection or Selection.everything(layers)
    with (progress or Silent()).task(f"averaging {matrix.extractor}", len(chosen.names())) as advance:
        for layer in chosen.names():
            place, weights = layers.names.index(layer), chosen.weights[layers.slice_of(layer)]
            counts = {name: store.dna_layer(current[name], place)[0].counts for name in names}
            mean = mean_counts(list(counts.values()), np.full(len(names), 1 / len(names)))
            for name in names:
                values = emd_bins(counts[name], mean)
                known = np.isfinite(values)
                sums[name] += float(values[known] @ weights[known])
                n_known[name] += float(weights[known].sum())
            advance(1)
    return {name: sums[name] / n_known[name] if n_known[name] else nan for name in names}
