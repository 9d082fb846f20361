"""The bias-corrected distance of two samples of one population is zero on average."""

import numpy as np
import pytest

from benchmarks.protocols.bias_corrected import (
    bias_corrected_emd,
    bias_corrected_fd,
    by_turns,
    fd_without_limit,
    parts_of,
)
from benchmarks.protocols.feature_distances import bell
from benchmarks.protocols.seen import Seen
from benchmarks.protocols.viewed import NEURONS
from dna_pipelines.comparison import fd
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.comparison.significance import significance
from dna_pipelines.distributions import COARSE_BINS, Layer, Layers

pytestmark = pytest.mark.campaign


def of_images(rng, n_images, shift=0.0):
    """Images of three neurons and 20 positions that share an effect of the image."""
    places = 25 + shift + 4 * rng.normal(size=(n_images, 3, 1)) + 2 * rng.normal(size=(n_images, 3, 20))
    counts = np.zeros((n_images, 3, COARSE_BINS), np.uint16)
    for image, neuron, position in np.ndindex(places.shape):
        counts[image, neuron, int(np.clip(places[image, neuron, position], 0, COARSE_BINS - 1))] += 1
    return Seen({NEURONS: counts}, places.mean(axis=2)).in_blocks(by_turns(n_images))


@pytest.mark.parametrize(("n_a", "n_b"), [(40, 40), (30, 150)])
def test_it_is_the_bias_corrected_distance_of_the_product(n_a, n_b):
    rng = np.random.default_rng(1)
    a, b = of_images(rng, n_a, 1.5), of_images(rng, n_b)
    layers = Layers((Layer("x", 3),))
    found = significance(
        Selection.everything(layers),
        lambda _: (a[0], b[0]),
        a[1],
        b[1],
        n_permutations=2000,
        seed=2,
        n_bins=COARSE_BINS,
    )
    ours = [bias_corrected_emd(a, b, rng) for _ in range(20)]
    assert np.mean(ours) == pytest.approx(found.bias_corrected_bins, abs=5 * np.std(ours) / 20**0.5)


def test_without_a_difference_it_is_zero_on_average():
    rng = np.random.default_rng(3)
    for values in (
        [bias_corrected_emd(of_images(rng, 20), of_images(rng, 20), rng) for _ in range(100)],
        [bias_corrected_fd(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng) for _ in range(400)],
    ):
        assert abs(np.mean(values)) < 4 * np.std(values) / len(values) ** 0.5


def test_fd_of_few_images_comes_nearer_to_that_of_all():
    rng, n_features = np.random.default_rng(4), 10
    plain, floor, limit = [], [], []
    for _ in range(40):
        a, b = rng.normal(size=(100, n_features)), rng.normal(size=(100, n_features)) + 3 / n_features**0.5
        plain.append(fd(bell(a), bell(b)))
        floor.append(bias_corrected_fd(a, b, rng))
        limit.append(fd_without_limit(parts_of(a, rng), parts_of(b, rng)))
    assert np.mean(plain) > 9.5
    assert np.mean(limit) == pytest.approx(9, abs=4 * np.std(limit) / len(limit) ** 0.5)
    # The permuted sides are mixtures of both, so the null mean may be too large, never too small.
    assert 7.5 < np.mean(floor) < 9.1


def test_fd_of_fewer_images_than_features_is_none_the_less_that_of_all_axes():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(8, 3)), rng.normal(size=(8, 3)) + 1
    turn = np.linalg.qr(rng.normal(size=(30, 3)))[0].T
    found = [bias_corrected_fd(a @ basis, b @ basis, np.random.default_rng(6)) for basis in (np.eye(3), turn)]
    assert found[0] == pytest.approx(found[1])
