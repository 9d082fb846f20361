"""All distances: laws, closed forms, slow references, and scipy's own where it is installed."""

from math import comb, inf, log, log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dna_pipelines.comparison import Selection, emd_bins, fd, nfd
from dna_pipelines.comparison.cumulative import overlap_distances
from dna_pipelines.comparison.metrics import (
    METRICS,
    OVERLAP_BINS,
    PSI_FLOOR,
    histogram_distance,
    metric,
    neuron_distances,
    summary_in,
)
from dna_pipelines.distributions import Histogram, Layer, Layers, Moments
from dna_pipelines.dna import Dna, ImportedDna
from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.identity import Key
from dna_pipelines_tests.raising import raises

OF_HISTOGRAMS = [one.name for one in METRICS if one.takes == "histogram"]
TRUE_METRICS = [one.name for one in METRICS if one.is_metric]
N_BINS = 2 * OVERLAP_BINS
COUNTS = hnp.arrays(np.uint64, (2, N_BINS), elements=st.sampled_from([0, 0, 0, 1, 2, 50, 10**6])).filter(
    lambda counts: (counts.sum(axis=1) > 0).all()
)


def slow(name, a, b):
    """One neuron, as the formula reads."""
    p, q = ([float(n) / float(sum(counts)) for n in counts] for counts in (a.tolist(), b.tolist()))
    gaps = [abs(sum(p[: k + 1]) - sum(q[: k + 1])) for k in range(len(p))]
    width = len(p) // OVERLAP_BINS
    pp, qq = ([sum(some[k : k + width]) for k in range(0, len(some), width)] for some in (p, q))
    if name == "emd_bins":
        return sum(gaps)
    if name == "emd_range":
        return sum(gaps) / len(p)
    if name == "ks":
        return max(gaps)
    if name == "energy":
        return sqrt(2 * sum(gap**2 for gap in gaps) / len(p))
    if name == "js":
        bits = [
            x * log2(2 * x / (x + y)) / 2
            for one, other in ((pp, qq), (qq, pp))
            for x, y in zip(one, other, strict=True)
            if x
        ]
        return sqrt(max(sum(bits), 0.0))
    if name == "hellinger":
        return sqrt(max(1 - sum(sqrt(x * y) for x, y in zip(pp, qq, strict=True)), 0.0))
    pp, qq = ([(x + PSI_FLOOR) / (1 + OVERLAP_BINS * PSI_FLOOR) for x in some] for some in (pp, qq))
    return sum((x - y) * log(x / y) for x, y in zip(pp, qq, strict=True))


@pytest.mark.parametrize("name", OF_HISTOGRAMS)
@settings(max_examples=25)
@given(a=COUNTS, b=COUNTS)
def test_each_is_the_slow_one_symmetric_and_within_its_bounds(name, a, b):
    found = histogram_distance(name, a, b)
    np.testing.assert_allclose(found, [slow(name, x, y) for x, y in zip(a, b, strict=True)], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found, histogram_distance(name, b, a), rtol=1e-12, atol=1e-12)
    assert (found >= metric(name).low).all()
    assert (found <= (metric(name).high or inf) + 1e-9).all()


@pytest.mark.parametrize("name", OF_HISTOGRAMS)
@settings(max_examples=25)
@given(a=COUNTS, b=COUNTS, times=st.integers(2, 1000))
def test_only_shares_count(name, a, b, times):
    """A dataset taken several times is the same dataset."""
    np.testing.assert_allclose(histogram_distance(name, a, a * np.uint64(times)), 0, atol=1e-7)
    expected = histogram_distance(name, a, b)
    np.testing.assert_allclose(histogram_distance(name, a * np.uint64(times), b), expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in TRUE_METRICS if name in OF_HISTOGRAMS])
@settings(max_examples=25)
@given(a=COUNTS, b=COUNTS, c=COUNTS)
def test_the_triangle_inequality_holds_where_it_is_said_to(name, a, b, c):
    way = histogram_distance(name, a, b) + histogram_distance(name, b, c)
    assert (histogram_distance(name, a, c) <= way + 1e-7).all()


def test_psi_and_nfd_break_the_triangle_inequality():
    """So the registry is right not to call them metrics."""
    a, b, c = (np.zeros((1, N_BINS), np.uint64) for _ in range(3))
    a[0, 0], c[0, 2] = 100, 100
    b[0, [0, 2]] = 50
    way = histogram_distance("psi", a, b) + histogram_distance("psi", b, c)
    assert histogram_distance("psi", a, c)[0] > way[0]
    x, y, z = (dna(np.ones((4, 100)), np.array([[mean], [mean]])) for mean in (0.0, 1.0, 2.0))
    assert neuron_distances(x, z, "nfd")[0] == pytest.approx(4)
    assert neuron_distances(x, y, "nfd")[0] + neuron_distances(y, z, "nfd")[0] == pytest.approx(2)
    assert not metric("psi").is_metric
    assert not metric("nfd").is_metric


@pytest.mark.parametrize("name", OF_HISTOGRAMS)
def test_extremes_reach_the_bounds(name):
    """All mass in the first bin against all of it in the last."""
    a, b = np.zeros((1, 1000), np.uint64), np.zeros((1, 1000), np.uint64)
    a[0, 0], b[0, -1] = 3, 8
    high = metric(name).high
    # Mass cannot move further than from the first bin to the last.
    expected = {"emd_range": 0.999, "energy": sqrt(2 * 0.999)}.get(name, high)
    assert histogram_distance(name, a, b)[0] == pytest.approx(expected, rel=1e-9)


def test_binomials_have_closed_forms():
    """Bins of a binomial distribution, whose sums are known."""

    def shares(p):
        return np.array([[comb(24, k) * p**k * (1 - p) ** (24 - k) for k in range(25)]])

    scale = 10**12
    a, b = (np.rint(shares(p) * scale).astype(np.uint64) for p in (0.3, 0.6))
    affinity = (sqrt(0.3 * 0.6) + sqrt(0.7 * 0.4)) ** 24
    assert histogram_distance("hellinger", a, b)[0] == pytest.approx(sqrt(1 - affinity), rel=1e-6)
    # One stochastically dominates the other, so the EMD is the difference of the means.
    assert histogram_distance("emd_bins", a, b)[0] == pytest.approx(24 * 0.3, rel=1e-6)


@pytest.mark.parametrize("name", OF_HISTOGRAMS)
def test_without_values_there_is_no_distance(name):
    none, some = np.zeros((2, 1000), np.uint64), np.ones((2, 1000), np.uint64)
    none[1] = 1
    for pair in ((none, some), (some, none)):
        found = histogram_distance(name, *pair)
        assert np.isnan(found[0])
        assert found[1] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError):
        histogram_distance(name, none, np.ones((2, 999), np.uint64))


@pytest.mark.parametrize("name", OF_HISTOGRAMS)
def test_counts_beyond_32_bits_do_not_overflow(name):
    a, b = np.zeros((1, 1000), np.uint64), np.zeros((1, 1000), np.uint64)
    a[0, :500], b[0, 500:] = 2**53, 2**53
    small = histogram_distance(name, np.minimum(a, 1), np.minimum(b, 1))
    np.testing.assert_allclose(histogram_distance(name, a, b), small, rtol=1e-12)


def test_scipy_agrees():
    stats, distance = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.spatial.distance")
    rng = np.random.default_rng(0)
    a, b = (rng.poisson(rng.uniform(0, 5, (4, 1000))).astype(np.uint64) for _ in range(2))
    places = np.arange(1000.0)
    coarse = [counts.reshape(4, OVERLAP_BINS, -1).sum(axis=2) for counts in (a, b)]
    for d in range(4):
        assert histogram_distance("emd_bins", a, b)[d] == pytest.approx(
            stats.wasserstein_distance(places, places, a[d], b[d]), rel=1e-9
        )
        assert histogram_distance("energy", a, b)[d] == pytest.approx(
            stats.energy_distance(places / 1000, places / 1000, a[d], b[d]), rel=1e-9
        )
        assert histogram_distance("js", a, b)[d] == pytest.approx(
            distance.jensenshannon(coarse[0][d], coarse[1][d], base=2), rel=1e-9
        )


@settings(max_examples=25)
@given(a=COUNTS, b=COUNTS)
def test_joining_bins_hides_and_never_adds(a, b):
    """Data processing: divergences of coarser histograms are no larger."""
    fine, coarse = (overlap_distances(a, b, width, 1e-9) for width in (1, 2))
    assert (coarse[:2] <= fine[:2] + 1e-12).all()


LAYERS = Layers((Layer("first", 1), Layer("last", 3)))


def dna(counts, pooled, label="x", covariance=()):
    n = len(counts)
    tallies = [np.zeros(n, np.uint64)] * 5
    histogram = Histogram(counts.astype(np.uint64), *tallies, np.zeros(n, np.float32), np.ones(n, np.float32))
    pooled = np.broadcast_to(pooled, (len(pooled), n))
    return Dna("i", Key({"k": 1}), LAYERS, histogram, Moments.of(pooled, LAYERS, covariance), label)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return [
        dna(rng.integers(0, 9, (4, 1000)), rng.normal(size=(20, 4)) + shift, label, ("last",))
        for label, shift in (("a", 0), ("b", 1))
    ]


def test_a_summary_is_the_mean_over_what_was_selected(pair):
    a, b = pair
    for one in METRICS:
        whole = summary_in(a, b, one.name, Selection.everything(LAYERS))
        assert whole["unit"] == one.unit
        values = neuron_distances(a, b, one.name)
        if one.name == "fd":
            expected = fd(a.moments.covariances["last"], b.moments.covariances["last"])
            assert whole["value"] == pytest.approx(expected)
            assert np.isnan(whole["layers"][0]["value"])
        else:
            assert whole["value"] == pytest.approx(values.mean())
            assert [row["n_neurons"] for row in whole["layers"]] == [1, 3]
            assert whole["layers"][1]["top_neuron"] == int(values[1:].argmax())
            assert whole["layers"][1]["value"] == pytest.approx(values[1:].mean())
    some = Selection.of(LAYERS, [], ["last:2"])
    assert summary_in(a, b, "ks", some)["value"] == neuron_distances(a, b, "ks")[3]
    assert np.isnan(summary_in(a, b, "fd", some)["value"])
    np.testing.assert_array_equal(neuron_distances(a, b, "emd_bins"), emd_bins(a.counts, b.counts))
    np.testing.assert_array_equal(neuron_distances(a, b, "nfd"), nfd(a.moments, b.moments))


def test_what_a_file_does_not_have_is_said(pair):
    a, _ = pair
    key = Key({"extractor": "e", "layers": LAYERS.key()})
    gaussians = ImportedDna(key, LAYERS, 9, None, a.moments, "f.json")
    histograms = ImportedDna(key, LAYERS, 9, a.counts, None, "g.json")
    own = Dna("i", key, LAYERS, a.histogram, a.moments, "a")
    assert neuron_distances(own, gaussians, "nfd").tolist() == [0.0] * 4
    with raises(NothingToCompare, "compare.missing-measure", metric="js", needs=["histogram"]):
        neuron_distances(own, gaussians, "js")
    with raises(NothingToCompare, "compare.missing-measure", metric="fd", needs=["covariance"]):
        neuron_distances(histograms, own, "fd")
    with raises(UnknownName, "name.metric", name="emd", known=[one.name for one in METRICS]):
        neuron_distances(own, own, "emd")
