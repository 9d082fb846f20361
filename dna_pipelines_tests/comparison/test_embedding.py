"""Maps: closed forms, laws, and slow references."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dna_pipelines.comparison.embedding import average_linkage, best_cut, cut, plane_of, silhouette

POINTS = hnp.arrays(np.float64, (7, 2), elements=st.floats(-50, 50, allow_subnormal=False))


def between(points):
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))


@given(points=POINTS)
def test_points_of_a_plane_keep_every_distance(points):
    distances = between(points)
    plane = plane_of(distances)
    np.testing.assert_allclose(between(plane.positions), distances, atol=1e-4)
    assert plane.kept_share == pytest.approx(1.0, abs=1e-6)
    assert plane.stress < 1e-4
    np.testing.assert_allclose(plane.positions.mean(axis=0), 0, atol=1e-6)


def test_what_a_plane_keeps_of_a_regular_simplex_is_its_share_of_the_dimensions():
    plane = plane_of(1.0 - np.eye(6))
    assert plane.kept_share == pytest.approx(2 / 5)
    assert plane.unflat_share == pytest.approx(0.0, abs=1e-12)
    kept = between(plane.positions)[np.triu_indices(6, 1)]
    assert plane.stress == pytest.approx(np.sqrt(((kept - 1) ** 2).mean()))


def test_distances_of_no_space_of_points_have_an_unflat_share():
    # The middle of a star is 1 from each of four ends, which are 2 from each other: in space only two can be.
    star = np.full((5, 5), 2.0)
    star[0], star[:, 0] = 1.0, 1.0
    np.fill_diagonal(star, 0)
    assert plane_of(star).unflat_share > 0.01


def test_datasets_that_are_all_alike_are_one_point():
    plane = plane_of(np.zeros((4, 4)))
    assert (plane.positions == 0).all()
    assert (plane.kept_share, plane.stress) == (1.0, 0.0)


def slow_linkage(distances):
    """The mean over all pairs of members, recomputed for every pair of clusters."""
    clusters, heights = [[place] for place in range(len(distances))], []
    while len(clusters) > 1:
        height, a, b = min(
            (np.mean([distances[i, j] for i in a for j in b]), a, b) for a, b in combinations(clusters, 2)
        )
        clusters = [cluster for cluster in clusters if cluster not in (a, b)] + [a + b]
        heights.append((height, len(a) + len(b)))
    return heights


@given(seed=st.integers(0, 10**6))
def test_joins_are_those_of_the_slow_way(seed):
    distances = between(np.random.default_rng(seed).normal(size=(9, 3)))
    joins = average_linkage(distances)
    assert [join.size for join in joins] == [size for _, size in slow_linkage(distances)]
    np.testing.assert_allclose([join.height for join in joins], [height for height, _ in slow_linkage(distances)])
    assert all(a.height <= b.height + 1e-12 for a, b in pairwise(joins))


def test_groups_that_lie_apart_are_found_whatever_their_order():
    rng = np.random.default_rng(1)
    truth = rng.permutation(np.repeat([0, 1, 2], [4, 5, 6]))
    points = np.array([(0, 0), (40, 0), (0, 40)])[truth] + rng.normal(size=(15, 2))
    distances = between(points)
    labels = best_cut(distances, average_linkage(distances))
    assert len({(a, b) for a, b in zip(truth, labels, strict=True)}) == 3
    assert labels[0] == 0
    assert silhouette(distances, labels) > 0.9


def test_a_silhouette_by_hand():
    distances = between(np.array([[0.0], [1.0], [10.0]]))
    # The first: 1 to its own, 10 to the other; the second: 1 and 9; the third is alone.
    assert silhouette(distances, np.array([0, 0, 1])) == pytest.approx((9 / 10 + 8 / 9 + 0) / 3)


def test_cuts_go_from_one_cluster_to_each_alone():
    joins = average_linkage(between(np.arange(5.0)[:, None] ** 2))
    assert cut(joins, 1).tolist() == [0] * 5
    assert cut(joins, 5).tolist() == [0, 1, 2, 3, 4]
    assert cut(joins, 2).tolist() == [0, 0, 0, 1, 1]
