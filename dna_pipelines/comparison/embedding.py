"""Many datasets at a glance: a plane that keeps their distances as well as it can, and which lie together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_MOST_CLUSTERS = 12
"""More could not be distinguished by colour."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Points whose distances are near those asked for.

    Attributes:
        positions: (n, 2), centred, the first axis the longer one.
        kept_share: of the sum of all positive eigenvalues, the part of these axes: 1 where they lose nothing.
        stress: Kruskal's stress-1, √(Σ(d - d̂)² / Σd²): 0 where every distance is kept; above 0.2 the
            picture misleads.
        unflat_share: of the sum of the sizes of all eigenvalues, the part of negative ones: what no
            space of points can keep, whatever its dimension.
    """

    positions: F64
    kept_share: float
    stress: float
    unflat_share: float


def plane_of(distances: F64, n_axes: int = 2) -> Plane:
    """Classical multidimensional scaling (Torgerson, 1952; Gower, 1966).

    Signs are chosen so that the farthest point of each axis has a positive coordinate: the picture of the same
    distances is the same everywhere.

    Args:
        distances: (n, n), symmetric, all known, 0 on the diagonal.
        n_axes: of the result.
    """
    n = len(distances)
    centring = np.eye(n) - 1.0 / max(n, 1)
    values, vectors = np.linalg.eigh(-0.5 * centring @ (distances**2) @ centring)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    used = np.maximum(values[:n_axes], 0.0)
    positions = np.zeros((n, n_axes))
    positions[:, : len(used)] = vectors[:, : len(used)] * np.sqrt(used)
    for axis in range(n_axes):
        if n and positions[np.argmax(np.abs(positions[:, axis])), axis] < 0:
            positions[:, axis] *= -1
    positive, sizes = values[values > 0].sum(), np.abs(values).sum()
    first, second = np.triu_indices(n, 1)
    wanted = distances[first, second]
    drawn = np.sqrt(((positions[first] - positions[second]) ** 2).sum(axis=1))
    total = (wanted**2).sum()
    return Plane(
        positions,
        float(used.sum() / positive) if positive > 0 else 1.0,
        float(np.sqrt(((wanted - drawn) ** 2).sum() / total)) if total > 0 else 0.0,
        float(np.abs(values[values < 0]).sum() / sizes) if sizes > 0 else 0.0,
    )


@dataclass(frozen=True)
class Join:
    """Two clusters that were joined. The n datasets are clusters 0 to n - 1, joins are numbered on from there."""

    first: int
    second: int
    height: float
    """The mean distance between the members of both."""
    size: int


def average_linkage(distances: F64) -> list[Join]:
    """Join the two nearest clusters until one is left (UPGMA; Sokal and Michener, 1958).

    Returns:
        n - 1 joins; their heights never fall. Of equal distances the one of the lower numbers is first.
    """
    n = len(distances)
    between = distances.astype(np.float64).copy()
    np.fill_diagonal(between, np.inf)
    names, sizes = list(range(n)), np.ones(n)
    joins = []
    for number in range(n, 2 * n - 1):
        i, j = sorted(divmod(int(np.argmin(between)), n))
        first, second = sorted((names[i], names[j]))
        joins.append(Join(first, second, float(between[i, j]), int(sizes[i] + sizes[j])))
        merged = (sizes[i] * between[i] + sizes[j] * between[j]) / (sizes[i] + sizes[j])
        between[i], between[:, i] = merged, merged
        between[j], between[:, j] = np.inf, np.inf
        between[i, i] = np.inf
        sizes[i] += sizes[j]
        names[i] = number
    return joins


def cut(joins: list[Join], n_clusters: int) -> NDArray[np.int64]:
    """The cluster of each dataset, (n,), when joining stops at so many; numbered by their first members."""
    n = len(joins) + 1
    members = {index: [index] for index in range(n)}
    for number, join in enumerate(joins[: max(n - n_clusters, 0)], start=n):
        members[number] = members.pop(join.first) + members.pop(join.second)
    labels = np.zeros(n, np.int64)
    for label, some in enumerate(sorted(members.values(), key=min)):
        labels[some] = label
    return labels


def silhouette(distances: F64, labels: NDArray[np.int64]) -> float:
    """How much nearer datasets are to their own cluster than to the next, -1 to 1 (Rousseeuw, 1987).

    The mean over datasets of (b - a) / max(a, b), a the mean distance to the others of the own cluster, b to
    those of the nearest other one; 0 for a dataset that is alone.
    """
    member = labels[:, None] == np.arange(labels.max() + 1)
    sizes = member.sum(axis=0)
    sums = distances @ member
    own = sums[np.arange(len(labels)), labels]
    alone = sizes[labels] == 1
    inside = own / np.maximum(sizes[labels] - 1, 1)
    outside = np.where(member, np.inf, sums / sizes).min(axis=1)
    largest = np.maximum(inside, outside)
    scores = np.divide(outside - inside, largest, out=np.zeros(len(labels)), where=(largest > 0) & ~alone)
    return float(scores.mean())


def best_cut(distances: F64, joins: list[Join]) -> NDArray[np.int64]:
    """The cut with the highest silhouette, of 2 clusters up to 12 (the fewest of equal ones); one of fewer than 4."""
    n = len(joins) + 1
    if n < 4:
        return np.zeros(n, np.int64)
    cuts = [cut(joins, k) for k in range(2, min(n - 1, _MOST_CLUSTERS) + 1)]
    return max(cuts, key=lambda labels: silhouette(distances, labels))
