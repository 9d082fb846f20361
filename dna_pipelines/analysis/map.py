"""A map of all datasets: their positions in a plane, their clusters, and their distances from the mean of all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.barycentre import mean_counts
from dna_pipelines.comparison.embedding import Join, Plane, average_linkage, best_cut, cut, plane_of, silhouette
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_ranges

_FEWEST = 3
"""The number of datasets that a map needs."""


@dataclass(frozen=True, eq=False)
class Map:
    """The datasets of a matrix in a plane.

    Attributes:
        matrix: the matrix, without the datasets in `left_out`.
        plane: the positions of its datasets.
        clusters: (n,) the cluster of each dataset.
        joins: the steps in which clusters were joined, the nearest first.
        silhouette: the silhouette of the clusters, -1 to 1; NaN where there is only one cluster.
        from_mean_bins: by dataset, EMD in bins to the mean of all DNAs, averaged over the neurons that count; None
            unless asked for.
        left_out: datasets without a distance from any other.
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
    """Project the datasets of a matrix into a plane, and cluster them.

    NFD and FD are squared distances, so their square roots are used.

    Args:
        project: the project of the matrix.
        matrix: see `find_matrix`.
        n_clusters: the number of clusters; by default the one with the best silhouette.
        from_mean: also compute the distance of each dataset from the mean of all.
        selection: the neurons that the matrix is over; by default all.
        progress: shows the layers of the mean.

    Raises:
        NothingToCompare: with fewer than three datasets, or when a pair has no distance yet.
        UserError: when there cannot be `n_clusters` clusters.
    """
    matrix, left_out = _without_unmeasured(matrix)
    n = len(matrix.names)
    if n < _FEWEST:
        raise NothingToCompare(
            f"a map needs at least {_FEWEST} datasets with distances ({matrix.metric}) of {matrix.extractor}; "
            f"there are {n}",
            code="compare.too-few-datasets",
            metric=matrix.metric,
            extractor=matrix.extractor,
            n_datasets=n,
            at_least=_FEWEST,
        )
    if np.isnan(matrix.values).any():
        a, b = (matrix.names[index] for index in np.argwhere(np.isnan(matrix.values))[0])
        raise NothingToCompare(
            f"{a} and {b} have no {matrix.metric}, and other pairs may have none either; "
            "call project.update() or run `dna run`",
            code="compare.no-distance",
            a=a,
            b=b,
            metric=matrix.metric,
        )
    if n_clusters is not None and not 1 <= n_clusters <= n:
        raise UserError(
            f"{n} datasets can form 1 to {n} clusters, not {n_clusters}",
            code="compare.n-clusters",
            n_datasets=n,
            n_clusters=n_clusters,
        )
    distances = np.sqrt(matrix.values) if matrix.metric in ("nfd", "fd") else matrix.values
    distances = (distances + distances.T) / 2
    joins = average_linkage(distances)
    clusters = cut(joins, n_clusters) if n_clusters else best_cut(distances, joins)
    score = silhouette(distances, clusters) if 1 < clusters.max() + 1 < n else nan
    means = _from_mean(project, matrix, selection, progress) if from_mean else None
    return Map(matrix, plane_of(distances), clusters, joins, score, means, left_out)


def _without_unmeasured(matrix: Matrix) -> tuple[Matrix, tuple[str, ...]]:
    """The matrix without the datasets that have no distance from any other, and their names.

    FD, for example, needs two images on each side.
    """
    known = np.isfinite(matrix.values) & ~np.eye(len(matrix.names), dtype=bool)
    measured = np.flatnonzero(known.any(axis=1))
    names = tuple(matrix.names[index] for index in measured)
    left_out = tuple(name for name in matrix.names if name not in names)
    return replace(matrix, names=names, values=matrix.values[np.ix_(measured, measured)]), left_out


def _from_mean(
    project: ProjectFolder, matrix: Matrix, selection: Selection | None, progress: Progress | None
) -> dict[str, float]:
    """By dataset, the distance from the mean. Layer by layer, so that only one layer of all DNAs is in memory."""
    current, store = current_dnas(project, matrix.extractor), project.lake.fingerprints
    names = [name for name in matrix.names if name in current]
    layers = used_ranges(project, matrix.extractor).layers
    sums, n_known = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    chosen = selection or Selection.everything(layers)
    with (progress or Silent()).task(f"averaging {matrix.extractor}", len(chosen.names())) as advance:
        for layer in chosen.names():
            index, weights = layers.names.index(layer), chosen.weights[layers.slice_of(layer)]
            counts = {name: store.dna_layer(current[name], index)[0].counts for name in names}
            mean = mean_counts(list(counts.values()), np.full(len(names), 1 / len(names)))
            for name in names:
                values = emd_bins(counts[name], mean)
                known = np.isfinite(values)
                sums[name] += float(values[known] @ weights[known])
                n_known[name] += float(weights[known].sum())
            advance(1)
    return {name: sums[name] / n_known[name] if n_known[name] else nan for name in names}
