"""The statistics of the peers agree with slow and obvious references."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ks_2samp, spearmanr, wasserstein_distance

from benchmarks.protocols.corruptions import growing, mean_emd, spearman
from benchmarks.protocols.detectors import ks_statistics
from benchmarks.protocols.two_samples import (
    fd,
    median_width,
    mmd,
    permuted_weights,
    rejects,
    sliced,
    standardised,
    unit_directions,
)


@pytest.fixture
def sides():
    """Features, weights (the true sides and two permutations), and the side of each row."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(25, 6)) @ rng.normal(size=(6, 6))
    features[10:] += 0.5
    weights = permuted_weights(10, 15, 2, rng)
    return features, weights, [(features[row > 0], features[row < 0]) for row in weights]


def test_a_permutation_keeps_the_sizes_and_the_first_row_has_the_true_sides():
    weights = permuted_weights(3, 5, 40, np.random.default_rng(0))
    assert weights.shape == (41, 8)
    assert (weights[0] > 0).tolist() == [True] * 3 + [False] * 5
    np.testing.assert_allclose(np.where(weights > 0, weights, 0).sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-12)
    assert len(np.unique(weights > 0, axis=0)) > 10


def test_fd_is_the_closed_form_with_a_matrix_square_root(sides):
    features, weights, pairs = sides
    for found, (a, b) in zip(fd(features, weights), pairs, strict=True):
        of_a, of_b = np.cov(a.T, ddof=0), np.cov(b.T, ddof=0)
        expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(of_a + of_b - 2 * sqrtm(of_a @ of_b).real)
        assert found == pytest.approx(expected, rel=1e-6)


def test_mmd_is_the_sum_over_pairs(sides):
    features, weights, pairs = sides
    every_two = [((x - y) ** 2).sum() for place, x in enumerate(features) for y in features[:place]]
    width = np.median(every_two)
    assert median_width(features) == pytest.approx(width)

    def kernel(x, y):
        return np.mean([[np.exp(-((p - q) ** 2).sum() / width) for p in x] for q in y])

    expected = [kernel(a, a) + kernel(b, b) - 2 * kernel(a, b) for a, b in pairs]
    np.testing.assert_allclose(mmd(features, weights), expected, rtol=1e-9)


def test_sliced_is_the_mean_of_distances_along_directions(sides):
    features, weights, pairs = sides
    directions = unit_directions(5, 6, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    expected = [np.mean([wasserstein_distance(a @ along, b @ along) for along in directions]) for a, b in pairs]
    np.testing.assert_allclose(sliced(features, weights, directions), expected, rtol=1e-9)


def test_kolmogorov_and_smirnov_are_those_of_scipy_with_and_without_equal_values():
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(size=(20, 2)), rng.integers(0, 3, (20, 2)), np.zeros((20, 1))], axis=1)
    expected = [ks_2samp(column[:8], column[8:]).statistic for column in values.T]
    np.testing.assert_allclose(ks_statistics(values, 8), expected, atol=1e-12)


def test_a_feature_that_was_drawn_twice_counts_twice(sides):
    features, _, _ = sides
    times = np.random.default_rng(2).multinomial(30, np.full(25, 1 / 25), 2)
    a, b = (np.repeat(features, one, axis=0) for one in times)
    both, weights = np.concatenate([a, b]), permuted_weights(len(a), len(b), 0, np.random.default_rng(0))
    twice, shares = np.concatenate([features, features]), np.concatenate([times[0], -times[1]])[None] / 30
    directions = unit_directions(3, 6, np.random.default_rng(1))
    assert fd(twice, shares) == pytest.approx(fd(both, weights), rel=1e-6)
    assert mmd(twice, shares, 4.0) == pytest.approx(mmd(both, weights, 4.0))
    assert sliced(twice, shares, directions) == pytest.approx(sliced(both, weights, directions))


def test_permutation_tests_keep_their_level_and_detect_a_shift():
    rng, false, true = np.random.default_rng(3), 0, 0
    for _ in range(200):
        features = standardised(rng.normal(size=(20, 3)))
        weights = permuted_weights(10, 10, 39, rng)
        false += rejects(mmd(features, weights))
        features[:10] += 1.5
        true += rejects(mmd(features, weights))
    # 5 % of 200 is 10, and 21 or more are less likely than one in a thousand.
    assert false <= 20
    assert true >= 150


def test_mean_emd_is_that_of_the_images_that_were_drawn():
    rng = np.random.default_rng(5)
    counts = rng.multinomial(20, np.full(50, 1 / 50), (2, 6, 3)).astype(np.uint16)
    times = rng.multinomial(9, np.full(6, 1 / 6), (2, 4))
    for row, found in enumerate(mean_emd(*counts, *times)):
        bins = np.arange(50)
        of_neurons = [
            wasserstein_distance(
                *(
                    np.repeat(np.tile(bins, 6), (times[side, row][:, None] * counts[side, :, d]).ravel())
                    for side in (0, 1)
                )
            )
            for d in range(3)
        ]
        assert found == pytest.approx(np.mean(of_neurons))


def test_ranks_are_those_of_scipy_with_and_without_ties():
    rows = np.array([[1.0, 2.0, 3.0, 5.0], [4.0, 3.0, 3.0, 1.0], [0.2, 0.1, 0.4, 0.3]])
    expected = [spearmanr(row, np.arange(4)).statistic for row in rows]
    np.testing.assert_allclose(spearman(rows), expected)
    np.testing.assert_allclose(growing(rows), [1, 0, 1 / 3])
