"""Our numbers against those of the reference implementation (vdna 0.1.1), from the same activations.

The files beside this one hold activations of three layers for two datasets, and what the
reference's own functions made of them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from dna_pipelines.comparison import emd_bins, fd, nfd
from dna_pipelines.distributions import Binning, Covariance, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.imaging import Preprocessing

HERE = Path(__file__).parent
RESIZED = np.load(HERE / "vdna_0.1.1_resize.npz")
ARRAYS = np.load(HERE / "vdna_0.1.1_golden.npz")
SUMMARY = json.loads((HERE / "vdna_0.1.1_golden.json").read_text())
LAYERS = ("conv", "tokens", "head")


def folded(side, layer, n_bins):
    activations = ARRAYS[f"act_{side}_{layer}"]
    n_images, n_neurons = activations.shape[:2]
    # The reference widens the bounds by scaling them.
    binning = Binning(1.2 * ARRAYS[f"lo_{layer}"], 1.2 * ARRAYS[f"hi_{layer}"], n_bins)
    fold = Fold(binning, np.zeros(n_images, int))
    pooled = np.empty((n_images, n_neurons))
    fold.add(slice(0, n_neurons), activations.reshape(n_images, n_neurons, -1), slice(0, n_images), pooled)
    return fold.histogram(), pooled


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("n_bins", [50, 1000])
@pytest.mark.parametrize("side", ["a", "b"])
def test_counts_are_those_of_the_reference_exactly(side, layer, n_bins):
    histogram, _ = folded(side, layer, n_bins)
    np.testing.assert_array_equal(histogram.counts, ARRAYS[f"hist{n_bins}_{side}_{layer}"])


def test_the_golden_data_has_values_out_of_range():
    clipped = sum(
        int((h.clipped_low + h.clipped_high).sum()) for h in (folded("b", layer, 1000)[0] for layer in LAYERS)
    )
    assert clipped > 0


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("n_bins", [50, 1000])
def test_emd(layer, n_bins):
    ours = emd_bins(folded("a", layer, n_bins)[0].counts, folded("b", layer, n_bins)[0].counts)
    np.testing.assert_allclose(ours, ARRAYS[f"emd{n_bins}_{layer}"], rtol=1e-6)
    assert ours.mean() == pytest.approx(SUMMARY[f"emd_{n_bins}"][layer], rel=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_nfd_and_fd(layer):
    pooled = {side: folded(side, layer, 1000)[1] for side in "ab"}
    layers = Layers((Layer(layer, pooled["a"].shape[1]),))
    moments = {side: Moments.of(rows, layers) for side, rows in pooled.items()}
    # The reference computes NFD in float32.
    np.testing.assert_allclose(nfd(moments["a"], moments["b"]), ARRAYS[f"nfd_{layer}"], rtol=5e-6)
    ours = fd(Covariance.of(pooled["a"]), Covariance.of(pooled["b"]))
    assert ours == pytest.approx(SUMMARY["fd"][layer], rel=1e-6)


def test_means_over_all_neurons():
    for n_bins in (50, 1000):
        both = [np.concatenate([folded(side, layer, n_bins)[0].counts for layer in LAYERS]) for side in "ab"]
        assert emd_bins(*both).mean() == pytest.approx(SUMMARY[f"emd_{n_bins}"]["mean_over_neurons"], rel=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_the_reference_preprocessing_is_that_of_the_reference(number):
    image, levels = RESIZED[f"image_{number}"], RESIZED[f"resized_{number}"]
    plain = Preprocessing.reference(len(levels), mean=(0, 0, 0), std=(1, 1, 1))
    np.testing.assert_array_equal(plain(image), (levels / np.float32(255)).transpose(2, 0, 1))
