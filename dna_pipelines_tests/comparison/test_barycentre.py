"""Means of DNAs: closed forms, laws, and a slow reference on quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dna_pipelines.comparison import compare, emd_bins
from dna_pipelines.comparison.barycentre import TOTAL, barycentre, mean_counts
from dna_pipelines.distributions import Histogram, Layer, Layers, Moments
from dna_pipelines.dna import Dna
from dna_pipelines.errors import Incomparable, NothingToCompare
from dna_pipelines.identity import Key

N_BINS = 12
COUNTS = hnp.arrays(np.uint64, (1, N_BINS), elements=st.integers(0, 30)).filter(lambda c: c.sum() > 0)


def quantiles(counts, levels):
    return np.searchsorted(np.cumsum(counts) / counts.sum(), levels, side="right").clip(max=len(counts) - 1)


def peak(place, n=3):
    counts = np.zeros((1, N_BINS), np.uint64)
    counts[0, place] = n
    return counts


@given(a=COUNTS, b=COUNTS, c=COUNTS, share=st.floats(0, 0.5))
def test_its_quantiles_are_the_mean_of_quantiles(a, b, c, share):
    weights = [share, 0.5 - share / 2, 0.5 - share / 2]
    mean = mean_counts([a, b, c], weights)[0].astype(float)
    levels = (np.arange(8_000) + 0.5) / 8_000
    exact = sum(weight * quantiles(one[0], levels) for weight, one in zip(weights, (a, b, c), strict=True))
    assert mean.sum() == TOTAL
    # The mean stays where it is, and no mass is moved by more than the half bin that splitting takes.
    assert mean @ np.arange(N_BINS) / TOTAL == pytest.approx(exact.mean(), abs=5e-3)
    assert np.abs(quantiles(mean, levels) - exact).mean() <= 0.5 + 5e-3


@given(a=COUNTS, weights=st.sampled_from([(0.5, 0.5), (0.2, 0.8)]))
def test_the_mean_of_equals_is_themselves(a, weights):
    assert emd_bins(mean_counts([a, a * np.uint64(3)], weights), a)[0] < 1e-9


def test_the_mean_of_shifted_distributions_is_one_in_their_middle_and_not_one_with_two_peaks():
    np.testing.assert_array_equal(mean_counts([peak(2), peak(8)], [0.5, 0.5]), peak(5, TOTAL))
    np.testing.assert_array_equal(mean_counts([peak(2), peak(10)], [0.25, 0.75]), peak(8, TOTAL))
    assert mean_counts([peak(2), peak(3)], [0.5, 0.5])[0, 2:4].tolist() == [TOTAL // 2, TOTAL // 2]


@given(a=COUNTS, b=COUNTS)
def test_it_lies_between_the_two(a, b):
    mean = mean_counts([a, b], [0.5, 0.5])
    whole = emd_bins(a, b)[0]
    assert abs(emd_bins(a, mean)[0] - whole / 2) <= 0.5 + 1e-9
    np.testing.assert_array_equal(mean_counts([b, a], [0.5, 0.5]), mean)


def test_neurons_without_values_have_no_mean():
    assert mean_counts([peak(2), np.zeros((1, N_BINS), np.uint64)], [0.5, 0.5]).sum() == 0


def dna(seed, *, key="k"):
    rng, layers = np.random.default_rng(seed), Layers((Layer("x", 3),))
    counts, none = rng.integers(1, 50, (3, N_BINS)).astype(np.uint64), np.zeros(3, np.uint64)
    flat = np.zeros(3, np.float32)
    histogram = Histogram(counts, counts.sum(axis=1), none, none, none, none, flat, flat)
    return Dna(
        str(seed), Key({"key": key}), layers, histogram, Moments.of(rng.normal(seed, 2, (9, 3)), layers), str(seed)
    )


def test_a_mean_is_compared_like_a_dna():
    one, other = dna(1), dna(2)
    mean = barycentre([one, other])
    assert mean.moments.mean == pytest.approx((one.moments.mean + other.moments.mean) / 2)
    roots = [np.sqrt(each.moments.variance) for each in (one, other)]
    assert np.sqrt(mean.moments.variance) == pytest.approx(sum(roots) / 2)
    whole, half = compare(one, other), compare(one, mean)
    assert np.sqrt(half.nfd) == pytest.approx(np.sqrt(whole.nfd) / 2)
    assert half.emd_bins == pytest.approx(whole.emd_bins / 2, abs=0.5)
    assert compare(one, barycentre([one, other], [1, 0])).emd_bins.max() < 1e-9


def test_means_of_what_cannot_be_compared_are_refused():
    with pytest.raises(Incomparable):
        barycentre([dna(1), dna(2, key="other")])
    with pytest.raises(NothingToCompare):
        barycentre([])
    with pytest.raises(ValueError):
        barycentre([dna(1)], [0.0])
