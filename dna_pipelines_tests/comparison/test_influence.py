"""Influence: an exact decomposition, checked by leaving images out; closed forms; and which bins differ significantly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_pipelines.comparison import emd_bins
from dna_pipelines.comparison.influence import (
    of_histogram,
    of_pooled,
    potential,
    significant_bins,
    unit_bins,
    unit_counts,
)

N_NEURONS, N_BINS, N_POSITIONS = 2, 12, 9

# Bins of the positions of some images of one neuron each.
BINS = st.tuples(st.integers(2, 6), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[1]).integers(0, N_BINS, (drawn[0], N_NEURONS, N_POSITIONS))
)


def histograms(bins):
    """(n_images, n_neurons, n_bins), as many values in each image."""
    return (bins[..., None] == np.arange(N_BINS)).sum(axis=2).astype(np.uint64)


def slow_cdf(counts):
    return [sum(counts[: k + 1]) / sum(counts) for k in range(len(counts))]


@settings(max_examples=30)
@given(a=BINS, b=BINS)
def test_contributions_add_up_to_the_distance_and_those_of_b_to_nothing(a, b):
    a, b = histograms(a), histograms(b)
    found = potential(a.sum(axis=0), b.sum(axis=0))
    mine = np.mean([of_histogram(image, found) for image in a], axis=0)
    theirs = np.mean([of_histogram(image, found) for image in b], axis=0)
    np.testing.assert_allclose(mine, emd_bins(a.sum(axis=0), b.sum(axis=0)), atol=1e-12)
    np.testing.assert_allclose(theirs, 0, atol=1e-12)


@settings(max_examples=30)
@given(a=BINS, b=BINS)
def test_a_contribution_is_its_definition(a, b):
    a, b = histograms(a), histograms(b)
    found = potential(a.sum(axis=0), b.sum(axis=0))
    for d in range(N_NEURONS):
        left, right = slow_cdf(a.sum(axis=0)[d].tolist()), slow_cdf(b.sum(axis=0)[d].tolist())
        for image in a:
            own = slow_cdf(image[d].tolist())
            expected = sum(np.sign(x - y) * (z - y) for x, y, z in zip(left, right, own, strict=True))
            # Where both CDFs are equal up to rounding, the sign has no meaning.
            if all(x == y or abs(x - y) > 1e-12 for x, y in zip(left, right, strict=True)):
                assert of_histogram(image, found)[d] == pytest.approx(expected, abs=1e-9)


def test_leaving_an_image_out_changes_the_distance_as_its_influence_says():
    """The slow reference: the distance is recomputed without each image. No sign changes here."""
    rng = np.random.default_rng(0)
    a = histograms(np.clip(rng.normal(8, 1.5, (60, N_NEURONS, N_POSITIONS)), 0, N_BINS - 1).astype(int))
    b = histograms(np.clip(rng.normal(4, 1.5, (50, N_NEURONS, N_POSITIONS)), 0, N_BINS - 1).astype(int))
    total = a.sum(axis=0)
    found, whole = potential(total, b.sum(axis=0)), emd_bins(total, b.sum(axis=0))
    for image in a:
        lowered = whole - emd_bins(total - image, b.sum(axis=0))
        np.testing.assert_allclose(lowered, (of_histogram(image, found) - whole) / (len(a) - 1), atol=1e-12)


def test_the_image_with_the_largest_contribution_is_the_one_to_leave_out():
    rng = np.random.default_rng(1)
    a = rng.integers(0, N_BINS, (40, 1, N_POSITIONS))
    a[7] = N_BINS - 1
    a, b = histograms(a), histograms(rng.integers(0, N_BINS - 3, (40, 1, N_POSITIONS)))
    total = a.sum(axis=0)
    found = potential(total, b.sum(axis=0))
    without = [emd_bins(total - image, b.sum(axis=0))[0] for image in a]
    assert np.argmax([of_histogram(image, found)[0] for image in a]) == np.argmin(without) == 7


@given(i=st.integers(0, 11), j=st.integers(0, 11))
def test_between_two_single_bins_a_value_contributes_how_far_it_has_to_go(i, j):
    a, b = np.zeros((1, N_BINS), np.uint64), np.zeros((1, N_BINS), np.uint64)
    a[0, i], b[0, j] = 5, 3
    found = potential(a, b)[0]
    for k in range(min(i, j), max(i, j) + 1):
        assert found[k] == abs(k - j)


def test_without_values_on_a_side_a_contribution_is_unknown():
    nothing, something = np.zeros((1, N_BINS), np.uint64), np.ones((1, N_BINS), np.uint64)
    assert np.isnan(potential(nothing, something)).all()
    assert np.isnan(of_histogram(nothing, potential(something, something))).all()


def test_features_contribute_like_histograms_of_one_value():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.2, 0.3, (300, 3)), rng.normal(0, 0.3, (400, 3))
    one_block = (np.zeros(len(a), int), np.zeros(len(b), int))
    counts = [unit_counts(rows, 50, blocks, 1).sum(axis=1) for rows, blocks in zip((a, b), one_block, strict=True)]
    found = potential(*counts)
    contributions = of_pooled(a, found)
    single = unit_counts(a[:1], 50, np.zeros(1, int), 1).sum(axis=1)
    assert contributions[0] == pytest.approx(of_histogram(single, found).mean())
    assert contributions.mean() == pytest.approx(emd_bins(*counts).mean())


def test_what_is_no_number_is_left_out_and_what_is_infinite_lies_at_the_edge():
    rows = np.array([[np.nan, np.inf, -np.inf, 0.0], [np.nan] * 4], np.float16)
    assert unit_bins(rows, 10).tolist() == [[-1, 9, 0, 5], [-1] * 4]
    counts = unit_counts(rows, 10, np.array([0, 1]), 2)
    assert counts.sum(axis=(1, 2)).tolist() == [0, 1, 1, 1]
    contributions = of_pooled(rows, np.ones((4, 10)))
    assert contributions[0] == 1
    assert np.isnan(contributions[1])


def test_the_error_of_a_cdf_is_that_of_independent_blocks():
    """Blocks of images that are all alike: the values of a block are not independent."""
    rng = np.random.default_rng(3)
    n_blocks, repeats = 64, 400
    kept = []
    for _ in range(repeats):
        sides = []
        for _side in range(2):
            # Each block is one value, a hundred times.
            bins = rng.integers(0, 5, n_blocks)
            blocks = np.zeros((1, n_blocks, 5), np.uint64)
            blocks[0, np.arange(n_blocks), bins] = 100
            sides.append(blocks)
        kept.append(significant_bins(*sides, n_bins=5, errors=1.96)[0, 2])
    # 5 % of the differences of equal distributions lie beyond 1.96 standard errors.
    assert 0.02 < np.mean(kept) < 0.09


@pytest.mark.parametrize(("away", "counts"), [(25, False), (35, True)])
def test_the_error_from_few_blocks_is_that_of_a_sample(away, counts):
    """Two blocks of 40 and 60 %: the standard error of their mean is 10 points, and not 7 as if they were all there is."""
    a, b = (np.array([[[low, 100 - low] for low in lows]], np.uint64) for lows in ((40, 60), (50 - away, 50 - away)))
    assert bool(significant_bins(a, b, 2)[0, 0]) is counts


def test_a_real_difference_is_significant_and_one_block_shows_nothing():
    rng = np.random.default_rng(4)
    low = rng.multinomial(50, [0.7, 0.2, 0.1], (1, 64)).astype(np.uint64)
    high = rng.multinomial(50, [0.1, 0.2, 0.7], (1, 64)).astype(np.uint64)
    assert significant_bins(low, high, 9)[0].tolist() == [True] * 6 + [False] * 3
    assert not significant_bins(low[:, :1], high, 9).any()


def test_only_what_counts_contributes():
    rng = np.random.default_rng(5)
    a, b = rng.integers(1, 9, (2, N_BINS)).astype(np.uint64), rng.integers(1, 9, (2, N_BINS)).astype(np.uint64)
    significant = np.zeros((2, N_BINS), bool)
    assert not potential(a, b, significant).any()
    np.testing.assert_array_equal(potential(a, b, ~significant), potential(a, b))
