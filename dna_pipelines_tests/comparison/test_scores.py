"""Scores of single images: slow references, closed forms, and what leaving an image out of its own reference does."""

import numpy as np
import pytest

from dna_pipelines.comparison.scores import Bins, exceeded, log_ratio, mahalanobis, nearest, rarity

rng = np.random.default_rng(0)
REFERENCE = rng.normal(0, 0.2, (200, 4))
OTHER = rng.normal(0.4, 0.2, (150, 4))
SCORES = {
    "rarity": rarity,
    "nearest": nearest,
}


def distance_of(uniform):
    """Kolmogorov's, from the uniform distribution; beyond 1.95 / √n by chance once in a thousand times."""
    ordered = np.sort(uniform)
    return np.abs(ordered - (np.arange(len(ordered)) + 0.5) / len(ordered)).max()


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_leaving_an_image_out_of_its_reference_is_a_reference_without_it(score):
    if score is nearest:
        expected = score(REFERENCE[:1], REFERENCE[1:] * 1.0)
        # The unit is the spread of the whole reference, which one image hardly moves.
        np.testing.assert_allclose(score(REFERENCE, REFERENCE, own=True)[:1], expected, rtol=0.02)
        return
    own = score(REFERENCE, REFERENCE, own=True)
    # An image in the middle moves no edge when it is left out.
    inner = int(np.argmin(np.abs(REFERENCE).max(axis=1)))
    expected = score(REFERENCE[inner : inner + 1], np.delete(REFERENCE, inner, axis=0))
    assert own[inner] == pytest.approx(expected[0])


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_images_from_elsewhere_score_higher(score):
    assert score(OTHER + 1, REFERENCE).min() > np.median(score(REFERENCE, REFERENCE, own=True))


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_a_neuron_without_a_number_makes_no_number_up(score):
    rows = np.array([[np.nan, 0.0, 0.0, 0.0], [np.nan] * 4])
    found = score(rows, REFERENCE)
    assert np.isnan(found[1])
    if score is not nearest:
        three = score(np.zeros((1, 3)), REFERENCE[:, 1:])
        assert found[0] == pytest.approx(three[0])


def test_the_ratio_of_likelihoods_is_the_slow_one():
    n_bins = 5
    edges = np.quantile(np.concatenate([REFERENCE, OTHER]), np.linspace(0, 1, n_bins + 1)[1:-1], axis=0)
    rows = REFERENCE[:7]
    expected = []
    for row in rows:
        total = 0.0
        for d, x in enumerate(row):
            where = sum(x >= edge for edge in edges[:, d])
            in_a = sum(sum(y >= edge for edge in edges[:, d]) == where for y in REFERENCE[:, d]) - 1
            in_b = sum(sum(y >= edge for edge in edges[:, d]) == where for y in OTHER[:, d])
            total += np.log((in_a + 1) / (len(REFERENCE) - 1 + n_bins)) - np.log((in_b + 1) / (len(OTHER) + n_bins))
        expected.append(total / len(row))
    np.testing.assert_allclose(log_ratio(rows, REFERENCE, OTHER, own=True, n_bins=n_bins), expected)


def test_the_ratio_changes_its_sign_with_the_sides():
    there, back = log_ratio(OTHER, OTHER, REFERENCE), log_ratio(OTHER, REFERENCE, OTHER)
    np.testing.assert_allclose(there, -back)
    assert there.mean() > 0


def test_coverage_is_full_where_the_reference_is_and_none_beyond():
    reference = np.linspace(0, 1, 1000)[:, None]
    assert rarity(np.array([[0.5]]), reference, n_bins=10, seldom=0.05)[0] == 0
    assert rarity(np.array([[2.0], [-1.0]]), reference, n_bins=10).tolist() == [1, 1]
    # A bin that holds a quarter of what counts as seldom.
    few = np.concatenate([np.zeros((99, 1)), [[1.0]]])
    assert rarity(np.array([[1.0]]), few, n_bins=4, seldom=0.04)[0] == pytest.approx(0.75)


def test_mahalanobis_of_a_normal_distribution_follows_chi_square():
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    rows = np.random.default_rng(1).multivariate_normal([1, -1], covariance, 4000)
    found = mahalanobis(rows, np.array([1.0, -1.0]), covariance, 10**9)
    # Two neurons: half of a chi square with two degrees of freedom, which is the exponential distribution.
    assert distance_of(1 - np.exp(-found)) < 1.95 / 4000**0.5


def test_mahalanobis_does_not_depend_on_the_units():
    mean, covariance = REFERENCE.mean(axis=0), np.cov(REFERENCE.T)
    scale = np.array([1, 10, 0.1, 7])
    once = mahalanobis(OTHER, mean, covariance, 200)
    np.testing.assert_allclose(
        mahalanobis(OTHER * scale, mean * scale, covariance * np.outer(scale, scale), 200), once, rtol=1e-5
    )


def test_mahalanobis_lives_with_fewer_images_than_neurons_and_with_dead_ones():
    rows = np.random.default_rng(2).normal(size=(5, 20))
    rows[:, 3] = 1.0
    found = mahalanobis(rows, rows.mean(axis=0), np.cov(rows.T), 5)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_a_copy_of_the_only_image_there_is_is_near_though_it_was_rounded():
    image = np.random.default_rng(4).normal(size=20)
    rounded = image.astype(np.float16).astype(float)
    # What adding up equal images leaves of a covariance.
    noise = 1e-31 * np.eye(20)
    assert mahalanobis(rounded[None], image, noise, 60)[0] > 1e6
    assert mahalanobis(rounded[None], image, noise, 60, np.finfo(np.float16).eps * np.abs(image))[0] < 1


def test_a_reference_that_has_no_numbers_or_no_other_image_gives_none():
    lacking = REFERENCE.copy()
    lacking[:, 1] = np.nan
    others = [0, 2, 3]
    np.testing.assert_array_equal(nearest(OTHER, lacking), nearest(OTHER[:, others], REFERENCE[:, others]))
    for score in SCORES.values():
        assert np.isnan(score(REFERENCE[:1], REFERENCE[:1], own=True)).all()
    assert np.isnan(nearest(OTHER, np.full((5, 4), np.nan))).all()


def test_the_nearest_is_the_slow_one():
    spread = REFERENCE.std(axis=0)
    for row, found in zip(OTHER[:5], nearest(OTHER[:5], REFERENCE, k=3), strict=True):
        distances = sorted(np.sqrt((((row - one) / spread) ** 2).mean()) for one in REFERENCE)
        assert found == pytest.approx(distances[2])


def test_infinite_averages_are_far_and_not_an_error():
    row = np.array([[np.inf, 0, 0, 0]], np.float16)
    assert nearest(row, REFERENCE)[0] > 100
    assert rarity(row, REFERENCE)[0] >= 0.25


def test_the_share_that_is_exceeded_is_uniform_for_images_of_the_reference():
    scores = np.random.default_rng(3).normal(size=2000)
    found = exceeded(scores[:1000], scores[1000:])
    assert distance_of(found) < 1.95 * (2 / 1000) ** 0.5
    assert exceeded(np.array([9.0, -9.0, np.nan]), np.arange(3.0)).tolist()[:2] == [0.25, 1.0]
    assert np.isnan(exceeded(np.array([np.nan]), np.arange(3.0)))[0]


def test_every_value_has_one_bin():
    bins = Bins.equal_width(REFERENCE, 7)
    assert bins.counts.sum(axis=1).tolist() == [200] * 4
    # The open bins on both sides are empty: the reference lies between its own extremes.
    assert not bins.counts[:, [0, -1]].any()
