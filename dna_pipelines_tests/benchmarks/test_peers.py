"""The peers and figures of the protocols against closed forms and slow references, one image at a time."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from benchmarks.protocols.agreement import auroc, kendall, mean_interval, spearman
from benchmarks.protocols.feature_distances import bell, kid, prdc, unbiased_mmd
from dna_pipelines.comparison import fd

SEED = np.random.default_rng(2)
REAL, FAKE = SEED.normal(size=(13, 3)), SEED.normal(0.4, 1.3, size=(9, 3))


def slow_mmd(a, b, kernel):
    pairs = [kernel(x, y) for (i, x), (j, y) in product(enumerate(a), repeat=2) if i != j]
    others = [kernel(x, y) for (i, x), (j, y) in product(enumerate(b), repeat=2) if i != j]
    between = [kernel(x, y) for x, y in product(a, b)]
    return np.mean(pairs) + np.mean(others) - 2 * np.mean(between)


def test_kid_is_the_formula():
    assert kid(REAL, FAKE) == pytest.approx(slow_mmd(REAL, FAKE, lambda x, y: (x @ y / 3 + 1) ** 3))


def test_kid_of_two_points_each():
    # Pairs within: (1 + 1)³ and (0 + 1)³; between all four are (0 + 1)³.
    assert kid(np.array([[1.0], [1.0]]), np.array([[0.0], [0.0]])) == pytest.approx(8 + 1 - 2)


def test_mmd_is_the_formula():
    both = np.concatenate([REAL, FAKE])
    scaled = (both - both.mean(axis=0)) / both.std(axis=0)
    apart = [((x - y) ** 2).sum() for i, x in enumerate(scaled) for y in scaled[:i]]
    width = np.median(apart)
    slow = slow_mmd(scaled[:13], scaled[13:], lambda x, y: np.exp(-((x - y) ** 2).sum() / width))
    assert unbiased_mmd(REAL, FAKE) == pytest.approx(slow)


def test_unbiased_distances_of_one_population_are_zero_on_average():
    rng = np.random.default_rng(3)
    for distance in (kid, unbiased_mmd):
        values = [distance(rng.normal(size=(12, 2)), rng.normal(size=(7, 2))) for _ in range(400)]
        assert abs(np.mean(values)) < 3 * np.std(values) / 20


def test_fd_of_a_moved_sample_is_the_squared_way():
    assert fd(bell(REAL), bell(REAL + np.array([3, 0, 4]))) == pytest.approx(25)


def slow_prdc(real, fake, k):
    def away(x, y):
        return np.linalg.norm(x - y)

    def ball(x, side):
        # The nearest is the image itself.
        return sorted(away(x, y) for y in side)[k]

    inside = [[away(x, y) <= ball(x, real) for y in fake] for x in real]
    return {
        "precision": np.mean([any(row[j] for row in inside) for j in range(len(fake))]),
        "recall": np.mean([any(away(x, y) <= ball(y, fake) for y in fake) for x in real]),
        "density": sum(map(sum, inside)) / (k * len(fake)),
        "coverage": np.mean([any(row) for row in inside]),
    }


@pytest.mark.parametrize("k", [1, 3])
def test_prdc_is_the_formula(k):
    assert prdc(REAL, FAKE, k) == pytest.approx(slow_prdc(REAL, FAKE, k))


def test_prdc_of_what_is_far_away_is_zero():
    assert set(prdc(REAL, FAKE + 100, 2).values()) == {0.0}


def test_prdc_sees_what_a_generator_leaves_out():
    real = np.concatenate([REAL, REAL + 50])
    found = prdc(real, np.concatenate([REAL, REAL]) + 1e-6, 2)
    assert (found["precision"], found["recall"], found["coverage"]) == (1.0, 0.5, 0.5)


@given(st.data(), hnp.arrays(np.float64, st.integers(2, 12), elements=st.integers(0, 5).map(float)))
@settings(max_examples=30)
def test_orders_agree_with_scipy(data, values):
    order = np.array(data.draw(st.permutations(range(len(values)))))
    if len(set(values)) > 1:
        assert spearman(values, order) == pytest.approx(stats.spearmanr(values, order).statistic)
    assert kendall(order) == pytest.approx(stats.kendalltau(order, -np.arange(len(order))).statistic)


def test_ties_say_nothing_about_an_order():
    assert kendall(np.array([5.0, 3.0, 3.0, 1.0])) == pytest.approx(5 / 6)
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_auroc_counts_pairs():
    assert auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0, -1.0])) == pytest.approx((1.5 + 2 + 0) / 6)


def test_an_interval_is_that_of_student():
    values = np.array([0.2, 0.5, 0.9, 0.4])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    shown, half = map(float, mean_interval(values).split(" ± "))
    assert shown == pytest.approx(values.mean(), abs=1e-3)
    assert half == pytest.approx((high - low) / 2, abs=2e-3)
