"""Learned weights: optimality against a slow reference, laws, and worlds in which the answer is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dna_pipelines.comparison.steering import ignore, nearest_weights, respond, respond_by_squares
from dna_pipelines.errors import NothingToCompare
from dna_pipelines_tests.raising import raises

DISTANCES = st.floats(0, 10, allow_subnormal=False)


def rows(n, n_neurons=6):
    return hnp.arrays(np.float64, (n, n_neurons), elements=DISTANCES)


def cost(matrix, wanted, ridge, about, weights):
    return ((matrix @ weights - wanted) ** 2).sum() + ridge * ((weights - about) ** 2).sum()


def slow_weights(matrix, wanted, ridge, about):
    """Try every set of neurons that are not 0, solve for it, keep the best that is not negative."""
    n, best = matrix.shape[1], (np.inf, None)
    for active in product([False, True], repeat=n):
        chosen, weights = np.array(active), np.zeros(n)
        part = matrix[:, chosen]
        system = part.T @ part + ridge * np.eye(part.shape[1])
        weights[chosen] = np.linalg.solve(system, part.T @ wanted + ridge * about) if chosen.any() else 0.0
        if (weights >= -1e-12).all():
            best = min(best, (cost(matrix, wanted, ridge, about, weights), weights.tolist()))
    return np.array(best[1])


@given(
    matrix=hnp.arrays(np.float64, (3, 5), elements=st.floats(-3, 3, allow_subnormal=False)),
    wanted=hnp.arrays(np.float64, 3, elements=st.floats(-2, 2, allow_subnormal=False)),
    ridge=st.sampled_from([0.01, 0.3, 2.0]),
    about=st.sampled_from([0.0, 1.0]),
)
def test_the_weights_are_those_of_trying_everything(matrix, wanted, ridge, about):
    found = nearest_weights(matrix, wanted, ridge, about=about)
    np.testing.assert_allclose(found, slow_weights(matrix, wanted, ridge, about), atol=1e-7)


def test_thousands_of_neurons_meet_the_conditions_of_an_optimum():
    rng = np.random.default_rng(0)
    matrix, wanted = rng.exponential(1 / 5000, (40, 5000)), rng.integers(0, 2, 40).astype(float)
    ridge = 0.003 / 5000
    weights = nearest_weights(matrix, wanted, ridge, about=1.0)
    slope = matrix.T @ (matrix @ weights - wanted) + ridge * (weights - 1.0)
    assert (weights >= 0).all()
    assert np.abs(slope[weights > 0]).max() < 1e-9 * np.abs(matrix.T @ wanted).max()
    assert (slope[weights == 0] > -1e-9 * np.abs(matrix.T @ wanted).max()).all()


def test_what_others_hardly_see_is_chosen_first_without_a_warning():
    weights = respond(np.array([[4.0, 5.0, 6.0]]), np.array([[1.0, 2e-308, 3.0]]), np.zeros((1, 3)), share=0.1)
    np.testing.assert_array_equal(weights, [0, 1, 0])


@given(target=rows(2), others=rows(3), noise=rows(1), share=st.floats(0.1, 1))
def test_the_selectivity_is_at_least_the_worst_score_chosen(target, others, noise, share):
    if not (target.mean(axis=0) > 0).any():
        return
    weights = respond(target, others, noise, share)
    chosen = weights > 0
    assert set(weights) <= {0.0, 1.0}
    largest = max((np.vstack([others, noise]) @ weights).max(), 1e-300)
    scores = target.mean(axis=0)[chosen] / np.maximum(np.vstack([others, noise]).max(axis=0)[chosen], 1e-300)
    assert target.mean(axis=0) @ weights / largest >= scores.min() * (1 - 1e-9)


def world():
    """Neurons 0 to 3 see the first attribute, 4 to 7 the second, 8 and 9 both, 10 none; all see some noise."""
    seen = np.zeros((2, 11))
    seen[0, [0, 1, 2, 3, 8, 9]] = 1.0
    seen[1, [4, 5, 6, 7, 8, 9]] = 1.0
    return 5 * seen + 0.1, np.full((1, 11), 0.1)


@pytest.mark.parametrize("learn", [lambda *a: respond(*a, share=4 / 11), respond_by_squares])
def test_responding_finds_the_neurons_that_see_the_attribute_alone(learn):
    contrasts, noise = world()
    weights = learn(contrasts[:1], contrasts[1:], noise)
    assert (weights[:4] > 0).all()
    assert weights[4:10].max() < 0.01 * weights[:4].min()
    steered = contrasts @ weights
    assert steered[0] / steered[1] > 20


def test_ignoring_keeps_what_others_see():
    contrasts, _ = world()
    weights = ignore(contrasts[:1], contrasts[1:])
    before, after = contrasts.mean(axis=1), contrasts @ weights / weights.sum()
    assert before[0] / before[1] == pytest.approx(1.0)
    assert after[0] / after[1] < 0.05
    assert weights[[0, 1, 2, 3]].max() < 0.05 * weights[[4, 5, 6, 7]].min()


@given(ignored=rows(2), kept=rows(3), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_weights_do_not_depend_on_how_large_a_contrast_is(ignored, kept, scale):
    if not (kept.sum(axis=1) > 0).any():
        return
    weights = ignore(ignored, kept)
    assert (weights >= 0).all()
    assert weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(ignore(ignored * scale, kept), weights, rtol=1e-5, atol=1e-7)


def test_neurons_without_a_distance_get_no_weight():
    contrasts, noise = world()
    contrasts[:, 0] = np.nan
    assert respond(contrasts[:1], contrasts[1:], noise, 0.5)[0] == 0
    assert respond_by_squares(contrasts[:1], contrasts[1:], noise)[0] == 0
    assert ignore(contrasts[:1], contrasts[1:])[0] == 0


def test_what_differs_nowhere_teaches_nothing():
    nothing, something = np.zeros((1, 4)), np.ones((1, 4))
    for learn in (respond, respond_by_squares):
        with raises(NothingToCompare, "selection.nothing-learned"):
            learn(nothing, something, something)
    with raises(NothingToCompare, "selection.nothing-learned"):
        ignore(something, nothing)
