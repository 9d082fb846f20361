"""Generators and streams have the properties that the protocols state, measured without fingerprints."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from benchmarks.protocols.digit_variants import EDGE_PX, VARIANTS, inputs, varied
from benchmarks.protocols.drift import KINDS, MIX, N_STEPS, Population, Reference
from benchmarks.protocols.ladders import SOURCES, Real, digits, gaussian, halves, ladders, mixture, principal
from benchmarks.protocols.seen import Seen
from benchmarks.protocols.viewed import NEURONS

pytestmark = pytest.mark.campaign


TRAIN, HELD_OUT = halves(digits(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def rungs():
    rng = np.random.default_rng(1)
    return {name: [rung(200) for rung in ladder] for name, ladder in ladders(TRAIN, rng).items()}


def flat(images):
    return images.reshape(len(images), -1)


def rises(values):
    return all(a < b for a, b in pairwise(values))


def test_halves_share_no_image_and_every_kind():
    real = Real(np.arange(30.0)[:, None, None, None], np.repeat([0, 1, 2], 10))
    train, held_out = halves(real, np.random.default_rng(0))
    assert sorted([*train.images.ravel(), *held_out.images.ravel()]) == sorted(real.images.ravel())
    assert (np.bincount(train.kinds) == 5).all()


def test_more_components_leave_less_of_held_out_images(rungs):
    mean, axes, _ = principal(TRAIN)
    rest = [np.abs(flat(HELD_OUT.images) - mean - (flat(HELD_OUT.images) - mean) @ axes[:k].T @ axes[:k]).mean()
            for k in (1, 3, 6, 12, 24, 48)]  # fmt: skip
    assert rises([-value for value in rest])
    assert [np.linalg.matrix_rank(flat(one) - mean, tol=1e-6) for one in rungs["PCA"]] == [1, 3, 6, 12, 24, 48]


def test_a_gaussian_has_the_spread_of_the_images():
    drawn = flat(gaussian(TRAIN, 60, np.random.default_rng(0))(4000))
    assert drawn.std(axis=0) == pytest.approx(flat(TRAIN.images).std(axis=0), rel=0.08, abs=1)


@pytest.mark.parametrize("source", SOURCES)
def test_more_gaussians_make_held_out_images_likelier(source):
    train, held_out = halves(SOURCES[source](), np.random.default_rng(0))
    likely = []
    for n in (1, 2, 4, 8, 16, 32):
        fitted, mean, axes = mixture(train, n, 0)
        likely.append(fitted.score((flat(held_out.images) - mean) @ axes.T))
    assert rises(likely)


def test_a_narrower_kernel_stays_nearer_to_images(rungs):
    far = [np.sqrt(((flat(one[:50])[:, None] - flat(TRAIN.images)) ** 2).sum(axis=2).min(axis=1)).mean()
           for one in rungs["KDE"]]  # fmt: skip
    assert rises([-value for value in far])


def test_fewer_kinds_and_fewer_images_are_that(rungs):
    kind_of = {image.tobytes(): kind for image, kind in zip(TRAIN.images, TRAIN.kinds, strict=True)}
    assert [len({kind_of[one.tobytes()] for one in drawn}) for drawn in rungs["modes"]] == [2, 4, 6, 8, 9, 10]
    distinct = [len({one.tobytes() for one in drawn}) for drawn in rungs["collapse"]]
    assert distinct[:5] == [2, 4, 8, 16, 32]
    assert distinct[5] >= 199  # equal images among the digits


def test_less_blur_keeps_more_contrast(rungs):
    assert rises([one.std(axis=(1, 2, 3)).mean() for one in rungs["blur"]])


def test_variants_differ_and_are_images():
    one = digits().images[:40, ..., 0] / (255 / 16)
    made = {name: varied(one, name, np.random.default_rng(0)) for name in VARIANTS}
    assert len(made) == 13
    assert {images.shape for images in made.values()} == {(40, EDGE_PX, EDGE_PX, 3)}
    assert len({images.tobytes() for images in made.values()}) == 13
    assert inputs(made["original"]).mean() == pytest.approx(1 - inputs(made["inverted"]).mean(), abs=0.01)
    grey = {name for name, images in made.items() if (images == images[..., :1]).all()}
    assert set(VARIANTS) - grey == {"coloured"}


class Made:
    """Measures the mean level of an image as one neuron."""

    features = np.arange(1)
    extractor = SimpleNamespace(layers=SimpleNamespace(slices={"x": slice(0, 1)}))

    def see(self, images):
        means = images.reshape(len(images), -1).mean(axis=1, keepdims=True, dtype=np.float32)
        counts = np.zeros((len(images), 1, 50), np.uint16)
        counts[np.arange(len(images)), 0, (means[:, 0] / 256 * 50).astype(int)] = 1
        return Seen({NEURONS: counts}, means)


@pytest.fixture(scope="module")
def population():
    rng = np.random.default_rng(4)
    tiles = np.clip(rng.normal(100, 20, (60, 1, 1, 3)) + rng.normal(0, 9, (60, 12, 12, 3)), 0, 255).astype(np.uint8)
    return Population(Made(), tiles, np.arange(60) < 30)


def test_a_drift_grows_from_nothing_to_its_last_degree(population):
    rng, n = np.random.default_rng(5), population.n_tiles
    for kind in KINDS:
        assert (population.draw(50, rng, kind, 0.0) < n).all()
        whole = population.draw(50, rng, kind, 1.0)
        assert set(whole // n) == {1 + KINDS.index(kind) * N_STEPS + N_STEPS - 1}
    half = population.draw(4000, rng, "brightness", 0.375)
    degrees = np.bincount(half // n - 1 - KINDS.index("brightness") * N_STEPS, minlength=2)
    assert degrees[:2] / 4000 == pytest.approx([0.5, 0.5], abs=0.05)
    mixed = population.draw(4000, rng, MIX, 1.0)
    assert population.groups[mixed].mean() == pytest.approx(2.5 / 2.9, abs=0.03)


def test_every_rule_finds_brighter_days_farther(population):
    rng = np.random.default_rng(6)
    reference = Reference(population, Made(), rng)
    plain = [reference.day(population.draw(40, rng), rng) for _ in range(5)]
    bright = [reference.day(population.draw(40, rng, "brightness", 1.0), rng) for _ in range(5)]
    for rule in plain[0]:
        assert np.mean([day[rule] for day in bright]) > max(day[rule] for day in plain) - 1e-9


def test_the_ks_distance_is_that_of_scipy(population):
    rng = np.random.default_rng(7)
    reference, batch = Reference(population, Made(), rng), population.draw(40, rng, "brightness", 0.3)
    means = population.seen.pooled[:, 0]
    expected = stats.ks_2samp(means[reference._own], means[batch]).statistic
    assert reference.day(batch, rng)["KS"] == pytest.approx(expected)
