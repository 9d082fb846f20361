"""Distances: closed forms, laws, and a slow reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dna_pipelines.comparison import LayerMeasures, emd_bins, fd, layer_distances, nfd, portions
from dna_pipelines.comparison.cumulative import cumulative, pairwise_l1
from dna_pipelines.distributions import Covariance, Histogram, Layer, Layers, Moments

COUNTS = hnp.arrays(np.uint64, (3, 20), elements=st.integers(0, 10**6)).filter(lambda c: (c.sum(axis=1) > 0).all())


def slow_emd(a, b):
    """Move mass from bin to bin, carrying the difference along."""
    out = []
    for counts_a, counts_b in zip(a.tolist(), b.tolist(), strict=True):
        carried = moved = 0.0
        for x, y in zip(counts_a, counts_b, strict=True):
            carried += x / sum(counts_a) - y / sum(counts_b)
            moved += abs(carried)
        out.append(moved)
    return out


@given(a=COUNTS, b=COUNTS)
def test_emd_is_the_slow_one_and_symmetric(a, b):
    np.testing.assert_allclose(emd_bins(a, b), slow_emd(a, b), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(emd_bins(a, b), emd_bins(b, a))


@given(a=COUNTS, b=COUNTS, c=COUNTS)
def test_emd_is_a_metric_of_distributions(a, b, c):
    assert (emd_bins(a, c) <= emd_bins(a, b) + emd_bins(b, c) + 1e-9).all()
    assert (emd_bins(a, a * np.uint64(7)) < 1e-12).all()
    assert (emd_bins(a, b) >= 0).all()
    assert (emd_bins(a, b) <= 19 + 1e-9).all()


@given(i=st.integers(0, 999), j=st.integers(0, 999))
def test_emd_between_two_single_bins_is_their_distance(i, j):
    a, b = np.zeros((1, 1000), np.uint64), np.zeros((1, 1000), np.uint64)
    a[0, i], b[0, j] = 3, 11
    assert emd_bins(a, b)[0] == abs(i - j)


def test_emd_without_values_is_unknown():
    assert np.isnan(emd_bins(np.zeros((1, 10), np.uint64), np.ones((1, 10), np.uint64)))


def test_counts_beyond_32_bits_do_not_overflow():
    a, b = np.zeros((1, 4), np.uint64), np.zeros((1, 4), np.uint64)
    a[0, :2], b[0, 2:] = 2**61, 2**61
    assert emd_bins(a, b)[0] == 2.0


def test_histograms_of_different_binnings_are_refused():
    with pytest.raises(ValueError):
        emd_bins(np.ones((1, 10), np.uint64), np.ones((1, 11), np.uint64))


def moments(mean, deviation, n=1000):
    rows = np.array([mean - deviation, mean + deviation]).repeat(n // 2, axis=0)
    return Moments.of(rows, Layers((Layer("x", rows.shape[1]),)), ("x",))


@given(mean_a=st.floats(-100, 100), mean_b=st.floats(-100, 100), sd_a=st.floats(0, 50), sd_b=st.floats(0, 50))
def test_nfd_and_fd_of_one_neuron_are_the_closed_form(mean_a, mean_b, sd_a, sd_b):
    a, b = moments(np.array([mean_a]), np.array([sd_a])), moments(np.array([mean_b]), np.array([sd_b]))
    spread = np.sqrt(a.variance[0]) - np.sqrt(b.variance[0])
    expected = (mean_a - mean_b) ** 2 + spread**2
    assert nfd(a, b)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert fd(a.covariances["x"], b.covariances["x"]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_fd_of_commuting_covariances_is_the_closed_form():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    spectra = rng.uniform(0.1, 4, (2, 16))
    means = rng.normal(size=(2, 16))
    a, b = (
        Covariance(101, mean, 100 * (basis * spectrum) @ basis.T) for mean, spectrum in zip(means, spectra, strict=True)
    )
    expected = ((means[0] - means[1]) ** 2).sum() + ((np.sqrt(spectra[0]) - np.sqrt(spectra[1])) ** 2).sum()
    assert fd(a, b) == pytest.approx(expected, rel=1e-10)
    assert fd(b, a) == pytest.approx(expected, rel=1e-10)
    assert fd(a, a) == pytest.approx(0.0, abs=1e-10)


def test_fd_is_real_and_finite_for_singular_covariances():
    rng = np.random.default_rng(3)
    few = [Covariance.of(rng.normal(size=(5, 64)) + shift) for shift in (0.0, 1.0)]
    assert 0 < fd(*few) < np.inf


def test_fd_needs_two_images():
    assert np.isnan(fd(Covariance.of(np.ones((1, 3))), Covariance.of(np.ones((4, 3)))))


def test_the_parallel_kernel_is_the_sequential_one():
    rng = np.random.default_rng(2)
    stacked = np.stack([cumulative(rng.integers(1, 99, (700, 50)).astype(np.uint64)) for _ in range(9)])
    first, second = np.triu_indices(9, 1)
    expected = np.abs(stacked[first] - stacked[second]).sum(axis=2)
    np.testing.assert_allclose(pairwise_l1(stacked, stacked, first, second), expected, rtol=1e-12)


def test_many_pairs_are_each_as_if_alone():
    rng = np.random.default_rng(4)
    layers = Layers((Layer("first", 3), Layer("last", 4)))
    names = [f"{place:02d}" for place in range(40)]  # more than one tile

    def made(width):
        counts = rng.integers(0, 50, (width, 100)).astype(np.uint64)
        tallies = [np.zeros(width, np.uint64)] * 5
        histogram = Histogram(counts, *tallies, np.zeros(width, np.float32), np.ones(width, np.float32))
        pooled = rng.normal(size=(20, width))
        return histogram, pooled

    store = {}
    for name in names:
        for layer in layers:
            histogram, pooled = made(layer.n_neurons)
            own = Layers((layer,))
            store[name, layer.name] = LayerMeasures(
                histogram, Moments.of(pooled, own, (layer.name,) if layer.name == "last" else ())
            )
    pairs = [(a, b) for a in names for b in names if a < b]
    done, read = [], []

    def load(name, layer):
        read.append((name, layer))
        return store[name, layer]

    found = {(x.a, x.b, x.layer): x for x in layer_distances(pairs, layers, load, done.append)}
    assert len(found) == len(pairs) * 2 == sum(done)
    for (a, b, layer), distance in found.items():
        left, right = store[a, layer], store[b, layer]
        assert distance.emd_bins == pytest.approx(
            emd_bins(left.histogram.counts, right.histogram.counts).mean(), rel=1e-12
        )
        assert distance.emd_range == pytest.approx(distance.emd_bins / 100, rel=1e-12)
        assert distance.nfd == pytest.approx(nfd(left.moments, right.moments).mean(), rel=1e-12)
        if layer == "last":
            assert distance.fd == pytest.approx(
                fd(left.moments.covariances[layer], right.moments.covariances[layer]), rel=1e-9
            )
        else:
            assert distance.fd is None
    # In portions it is the same; the tile of the last eight is read once more.
    n_read, some = len(read), list(portions(pairs[::-1]))
    assert (len(some), sorted(pair for one in some for pair in one)) == (2, pairs)
    again = [one for portion in some for one in layer_distances(portion, layers, load)]
    assert {(x.a, x.b, x.layer): x for x in again} == found
    assert len(read) == n_read + n_read + 2 * 8
