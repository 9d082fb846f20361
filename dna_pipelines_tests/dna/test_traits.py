"""What a DNA says about one dataset: closed forms on made-up activations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.distributions import Binning, Covariance, Histogram, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna.traits import NeuronTraits, became, effective_rank, layer_traits, neurons_of

N_IMAGES, N_POSITIONS = 40, 50


def histogram_of(values, low=-4.0, high=4.0):
    n_neurons = values.shape[1]
    fold = Fold(Binning(np.full(n_neurons, low), np.full(n_neurons, high)), np.zeros(len(values), int))
    pooled = np.empty((len(values), n_neurons))
    fold.add(slice(0, n_neurons), values.astype(np.float32), slice(0, len(values)), pooled)
    return fold.histogram()


def activations():
    """One neuron of each sort."""
    rng = np.random.default_rng(0)
    shape = (N_IMAGES, N_POSITIONS)
    return np.stack(
        [
            rng.normal(size=shape),  # 0: as it should be
            np.zeros(shape),  # 1: silent
            np.full(shape, 1.5),  # 2: dead
            np.minimum(rng.normal(1.5, 1, shape), 1.0),  # 3: mostly at its largest value
            np.maximum(rng.normal(-1.5, 1, shape), 0.0),  # 4: mostly 0, which is sparse and not saturated
            rng.normal(0, 3, shape),  # 5: often out of range
            np.maximum(rng.normal(-1.5, 1, shape), -1.0),  # 6: mostly at its smallest value
        ],
        axis=1,
    )


def test_every_kind_of_neuron_is_recognised():
    values = activations()
    found = NeuronTraits.of(histogram_of(values))
    assert np.flatnonzero(found.dead).tolist() == [1, 2]
    assert np.flatnonzero(found.silent).tolist() == [1]
    assert np.flatnonzero(found.saturated).tolist() == [3, 6]
    np.testing.assert_allclose(found.zero_share, (values == 0).mean(axis=(0, 2)))
    np.testing.assert_allclose(found.clipped_share, (np.abs(values) > 4).mean(axis=(0, 2)))


def test_kurtosis_is_that_of_the_values_to_a_bin():
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(size=(200, 100)), rng.uniform(-3, 3, (200, 100)), rng.laplace(0, 0.3, (200, 100))], 1)
    flat = values.transpose(1, 0, 2).reshape(3, -1).clip(-4, 4)
    centred = flat - flat.mean(axis=1, keepdims=True)
    exact = (centred**4).mean(axis=1) / (centred**2).mean(axis=1) ** 2 - 3
    np.testing.assert_allclose(NeuronTraits.of(histogram_of(values)).kurtosis, exact, atol=0.02)


def test_neurons_without_values_are_nothing():
    found = NeuronTraits.of(Histogram.empty(3, 1000))
    assert not (found.dead | found.silent | found.saturated).any()
    assert np.isnan(found.zero_share).all()
    assert np.isnan(found.kurtosis).all()


@given(rank=st.integers(1, 6), scale=st.sampled_from([1e-3, 1.0, 1e5]))
def test_a_flat_spectrum_has_the_rank_it_has(rank, scale):
    basis, _ = np.linalg.qr(np.random.default_rng(rank).normal(size=(8, 8)))
    covariance = scale * basis[:, :rank] @ basis[:, :rank].T
    np.testing.assert_allclose(effective_rank(covariance), (rank, rank), rtol=1e-6)


def test_an_uneven_spectrum_has_less():
    shares = np.array([0.5, 0.25, 0.25])
    rank, ratio = effective_rank(np.diag(7 * shares))
    assert rank == pytest.approx(2**1.5)
    assert ratio == pytest.approx(1 / (0.25 + 2 * 0.0625))
    assert np.isnan(effective_rank(np.zeros((3, 3)))).all()


def test_layers_sum_up_their_neurons():
    layers = Layers((Layer("first", 4), Layer("last", 3, kind="projection")))
    values = activations()
    histogram, pooled = histogram_of(values), values.mean(axis=2)
    first, last = layer_traits(layers, histogram, Moments.of(pooled, layers, ("last",)))
    assert (first.n_dead, first.n_silent, first.n_saturated) == (2, 1, 1)
    assert (last.kind, last.n_dead, last.n_saturated) == ("projection", 0, 1)
    assert first.zero_share == pytest.approx((values[:, :4] == 0).mean())
    assert last.clipped_share == pytest.approx((np.abs(values[:, 4:]) > 4).mean())
    assert first.effective_rank is None
    covariance = Covariance.of(pooled[:, 4:]).covariance
    assert last.spread == pytest.approx(np.sqrt(np.trace(covariance)))
    assert (last.effective_rank, last.participation_ratio) == pytest.approx(effective_rank(covariance))
    assert last.n_images == N_IMAGES


def test_what_neurons_become_is_reported_by_layer():
    layers = Layers((Layer("a", 3), Layer("b", 4)))
    before = activations()
    after = before.copy()
    after[:, 0], after[:, 1], after[:, 3], after[:, 4] = 0.0, before[:, 0], before[:, 0], before[:, 3]
    old, new = (NeuronTraits.of(histogram_of(values)) for values in (before, after))
    changes = {what: neurons_of(layers, chosen) for what, chosen in became(old, new)}
    assert changes == {
        "newly dead": ["a:0"],
        "newly alive": ["a:1"],
        "newly saturated": ["b:1"],
        "no longer saturated": ["b:0"],
    }
