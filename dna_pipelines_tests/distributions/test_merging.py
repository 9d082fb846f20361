"""The laws of merging, for each measure."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.distributions import Binning, Blocks, Histogram, ImageFeatures, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import sum_partials
from dna_pipelines_tests.laws.merging import counts_equal, merging_is_lawful, moments_equal

LAYERS = Layers((Layer("first", 2), Layer("last", 3)))
BINNING = Binning(np.full(5, -2.0), np.full(5, 3.0))


def measured(values, blocks):
    fold = Fold(BINNING, blocks)
    pooled = np.empty(values.shape[:2])
    fold.add(slice(0, 5), values, slice(0, len(values)), pooled)
    moments = Moments.of(pooled, LAYERS, ("last",))
    return fold.histogram(), moments, fold.block_counts()


@given(
    seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 6), min_size=3, max_size=3), offset=st.floats(-100, 100)
)
def test_merging_parts_is_lawful_and_equals_measuring_the_whole(seed, sizes, offset):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(sum(sizes), 5, 4)) + offset).astype(np.float32)
    blocks = rng.integers(0, 64, sum(sizes))
    cuts = np.cumsum([0, *sizes])
    parts = [measured(values[a:b], blocks[a:b]) for a, b in pairwise(cuts)]
    whole = measured(values, blocks)
    empties = (Histogram.empty(5, 1000), Moments.empty(5), Blocks.empty(5))
    for place, (empty, equal) in enumerate(zip(empties, (counts_equal, moments_equal, counts_equal), strict=True)):
        three = [part[place] for part in parts]
        merging_is_lawful(three, empty, equal)
        equal(three[0].merge(three[1]).merge(three[2]), whole[place])
    for total, expected, equal in zip(
        sum_partials(parts, 5, 1000), whole, (counts_equal, moments_equal, counts_equal), strict=True
    ):
        equal(total, expected)


def test_a_covariance_that_one_side_lacks_is_dropped_because_it_is_not_of_all_images():
    pooled = np.random.default_rng(0).normal(size=(7, 5))
    one, other = Moments.of(pooled[:3], LAYERS, ("first", "last")), Moments.of(pooled[3:], LAYERS, ("last",))
    for both in (one.merge(other), other.merge(one)):
        assert list(both.covariances) == ["last"]
        assert both.covariances["last"].n_images == 7
    bare, nothing = Moments.of(pooled[3:], LAYERS), Moments.empty(5)
    assert one.merge(bare).covariances == bare.merge(one).covariances == {}
    for same in (one.merge(nothing), nothing.merge(one)):
        assert {name: covariance.n_images for name, covariance in same.covariances.items()} == {"first": 3, "last": 3}


def test_merging_leaves_both_as_they_were_and_adding_changes_the_one_added_to():
    rng = np.random.default_rng(0)
    for place in (0, 2):
        one, other = (
            measured(rng.normal(size=(4, 5, 3)).astype(np.float32), rng.integers(0, 64, 4))[place] for _ in range(2)
        )
        before = copy.deepcopy((one, other))
        both = one.merge(other)
        counts_equal(one, before[0])
        one.add(other)
        counts_equal(one, both)
        counts_equal(other, before[1])


def test_moments_are_those_of_numpy():
    pooled = np.random.default_rng(1).normal(5, 2, (40, 5))
    moments = Moments.of(pooled, LAYERS, ("last",))
    np.testing.assert_allclose(moments.mean, pooled.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.variance, pooled.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(moments.covariances["last"].covariance, np.cov(pooled[:, 2:].T), rtol=1e-12)


def test_images_whose_average_is_not_finite_are_left_out_of_the_moments_and_counted_out():
    pooled = np.array([[1.0, np.nan, 1, 1, 1], [3.0, 2.0, 1, np.inf, 1], [5.0, 4.0, 2, 2, 2]])
    moments = Moments.of(pooled, LAYERS, ("last",))
    np.testing.assert_array_equal(moments.n_images, [3, 2, 3, 2, 3])
    assert moments.mean[1] == 3.0
    assert moments.covariances["last"].n_images == 2


def test_variance_of_a_single_image_is_unknown():
    assert np.isnan(Moments.of(np.ones((1, 5)), LAYERS).variance).all()


def test_measures_of_different_shapes_are_not_merged():
    with pytest.raises(ValueError):
        Histogram.empty(2, 10).merge(Histogram.empty(3, 10))
    with pytest.raises(ValueError):
        Moments.empty(2).merge(Moments.empty(3))
    with pytest.raises(ValueError):
        Blocks.empty(2).merge(Blocks.empty(3))


def test_image_rows_are_in_range_units_and_signs_are_against_the_calibrated_mean():
    pooled = np.array([[-2.0, 3.0, 0.5, 0.5, 3.0], [0.5, 0.5, -2.0, 3.0, 0.5]])
    centre = np.array([0.0, 0.0, 0.5, 0.5, 0.5])
    rows = ImageFeatures.of(["x", "y"], pooled, LAYERS, ["last"], BINNING, centre)
    np.testing.assert_array_equal(rows.pooled["last"], np.array([[0, 0, 1], [-1, 1, 0]], np.float16))
    np.testing.assert_array_equal(np.unpackbits(rows.signs, axis=1)[:, :3], [[0, 0, 1], [0, 1, 0]])
    both = rows.merge(rows)
    assert both.digests == ("x", "y", "x", "y")
    assert both.signs.shape[0] == both.pooled["last"].shape[0] == 4


def test_features_of_an_image_far_out_of_a_narrow_range_are_infinite_and_said_so_without_a_warning(recwarn):
    narrow = Binning(np.array([1 - 1e-8, 0.0]), np.array([1 + 1e-8, 1.0]))
    pooled = np.array([[2.0, 0.5], [0.0, 0.75], [1.0, 1.0]])
    layers = Layers((Layer("a", 2),))
    features = ImageFeatures.of(["x", "y", "z"], pooled, layers, ["a"], narrow, np.array([1.0, 0.5]))
    np.testing.assert_array_equal(features.pooled["a"][:, 0], [np.inf, -np.inf, 0.0])
    np.testing.assert_array_equal(features.pooled["a"][:, 1], [0.0, 0.5, 1.0])
    assert not recwarn.list
