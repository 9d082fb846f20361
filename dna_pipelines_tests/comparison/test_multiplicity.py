"""Control over many tests, and p-values beyond what was resampled: closed forms and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.comparison.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    combined_p,
    exceedance_p,
    max_statistic_p,
)
from dna_pipelines.comparison.tails import fit_pareto, tail_p

P = st.lists(st.floats(1e-9, 1), min_size=1, max_size=30)


def findings(p, q, factor=1.0):
    """The step-up rule as it is written: the largest i with p_(i) <= i·q / (m·factor), and all below."""
    ordered = sorted(p)
    most = max((i + 1 for i, value in enumerate(ordered) if value <= (i + 1) * q / (len(p) * factor)), default=0)
    return {place for place in range(len(p)) if most and p[place] <= ordered[most - 1]}


@given(p=P, q=st.floats(0.001, 0.5))
def test_adjusted_p_are_those_of_the_step_up_rule(p, q):
    for adjust, factor in (
        (benjamini_hochberg, 1.0),
        (benjamini_yekutieli, sum(1 / i for i in range(1, len(p) + 1))),
    ):
        adjusted = adjust(np.array(p))
        # Off the boundary, where rounding would decide.
        for near in (q * (1 - 1e-9), q * (1 + 1e-9)):
            if not np.isclose(adjusted, near, rtol=1e-8, atol=0).any():
                assert set(np.flatnonzero(adjusted <= near)) == findings(p, near, factor)
        assert (adjusted >= np.array(p) * (1 - 1e-12)).all()


def test_adjusted_p_in_closed_form():
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    np.testing.assert_allclose(benjamini_yekutieli(np.array([0.01, 0.5])), [0.03, 0.75])
    found = benjamini_hochberg(np.array([np.nan, 0.01, 0.04]))
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [0.02, 0.04])
    assert benjamini_hochberg(np.empty(0)).size == 0


def test_the_observed_statistic_counts_among_the_others():
    assert exceedance_p(np.array([9.0, *range(9)])) == pytest.approx(1 / 10)
    assert exceedance_p(np.array([5.0, *range(9)])) == pytest.approx(5 / 10)
    # Equal ones count as reached, also where their sums were rounded differently.
    assert exceedance_p(np.array([1.0, 1.0 - 1e-9, 1.0, 0.0])) == pytest.approx(3 / 4)
    assert np.isnan(exceedance_p(np.array([np.nan, 1.0])))


def test_max_statistic_p_is_the_slow_one():
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=(100, 7))
    slow = [(1 + sum(row.max() >= value for row in statistics[1:])) / 100 for value in statistics[0]]
    np.testing.assert_allclose(max_statistic_p(statistics), slow)
    assert max_statistic_p(np.empty((10, 0))).size == 0


def test_max_statistic_p_keep_the_family_wise_level():
    rng = np.random.default_rng(1)
    alarms = [
        (max_statistic_p(rng.normal(size=(100, 1)) + rng.normal(size=(100, 20))) <= 0.05).any() for _ in range(1000)
    ]
    assert 0.03 < np.mean(alarms) < 0.075


def test_combined_p_is_the_slow_one_and_near_the_smallest():
    rng = np.random.default_rng(5)
    for shift, shares in ((0.0, [1 / 3] * 3), (1.5, [0.2, 0.3, 0.5]), (9.0, [0.6, 0.1, 0.3])):
        statistics = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
        statistics[0, 1] += shift
        single = np.array([[(column >= value).mean() for value in column] for column in statistics.T])
        smallest = (single / np.array(shares)[:, None]).min(axis=0)
        found = combined_p(statistics, shares)
        assert found == pytest.approx(np.mean(smallest <= smallest[0]))
        assert single[:, 0].min() <= found <= smallest[0]
    one = statistics[:, [1]]
    # The same statistic twice, in whatever unit, is one statistic; and what is not known does not count.
    for other in (np.exp(one), np.full_like(one, np.nan)):
        assert combined_p(np.hstack([one, other]), [0.2, 0.8]) == exceedance_p(one[:, 0])
    assert np.isnan(combined_p(np.full((9, 2), np.nan), [0.2, 0.8]))


def test_combined_p_keeps_the_level_of_one_test():
    rng, alarms = np.random.default_rng(6), []
    for _ in range(2000):
        both = rng.normal(size=(100, 2))
        both[:, 1] += rng.choice([0.0, 3.0]) * both[:, 0]
        alarms.append(combined_p(both, [0.2, 0.8]) <= 0.05 + 1e-9)
    assert 0.035 < np.mean(alarms) < 0.065


def true_p(kind, x):
    return {"exponential": np.exp(-x), "pareto": (1 + 0.3 * x) ** (-1 / 0.3)}[kind]


def drawn(kind, rng, n):
    return {"exponential": lambda: -np.log(rng.random(n)), "pareto": lambda: (rng.random(n) ** -0.3 - 1) / 0.3}[kind]()


@pytest.mark.parametrize(("kind", "x"), [("exponential", 9.0), ("exponential", 13.0), ("pareto", 25.0)])
def test_tail_estimates_are_those_of_closed_forms(kind, x):
    rng = np.random.default_rng(2)
    found = [tail_p(np.concatenate([[x], drawn(kind, rng, 1000)])) for _ in range(7)]
    ratios = [np.log10(tail.p / true_p(kind, x)) for tail in found if tail.estimated]
    assert len(ratios) >= 4
    assert abs(np.median(ratios)) < 0.7


def test_lighter_tails_give_p_that_are_too_large_rather_than_too_small():
    """Of the sum of absolute normals, as distances are; the truth by very many draws."""
    rng = np.random.default_rng(3)
    many = np.abs(rng.normal(size=(400_000, 6))).sum(axis=1)
    x = np.quantile(many, 1 - 5e-5)
    found = [tail_p(np.concatenate([[x], rng.choice(many, 1000)])) for _ in range(7)]
    assert all(tail.estimated for tail in found)
    assert np.median([tail.p for tail in found]) >= 5e-5
    assert np.median([tail.p for tail in found]) < 1e-3


def test_what_was_resampled_often_enough_is_not_estimated_from_the_tail():
    rng = np.random.default_rng(4)
    statistics = np.concatenate([[2.0], rng.exponential(size=1000)])
    assert tail_p(statistics).p == exceedance_p(statistics)
    assert not tail_p(statistics).estimated
    # Few resamples, and equal ones, have no tail to fit.
    assert not tail_p(np.concatenate([[9.0], rng.exponential(size=50)])).estimated
    assert not tail_p(np.concatenate([[9.0], np.ones(1000)])).estimated


def test_a_tail_that_is_no_such_tail_is_not_estimated_from_the_tail():
    """Two clusters: the upper one is nothing like the end of a smooth distribution."""
    rng = np.random.default_rng(5)
    clusters = np.concatenate([rng.normal(0, 0.1, 700), 10 + rng.normal(0, 0.1, 300)])
    statistics = np.concatenate([[10.6], clusters])
    assert tail_p(statistics, smallest=1e-3).p >= 1e-3 * (1 - 1e-9)


def test_no_p_is_below_what_dealing_can_show():
    rng = np.random.default_rng(6)
    statistics = np.concatenate([[200.0], rng.exponential(size=1000)])
    assert tail_p(statistics, smallest=1e-5).p == 1e-5
    assert 0 < tail_p(statistics).p < 1e-6


def test_the_fit_finds_shape_and_scale():
    rng = np.random.default_rng(7)
    samples = 2.0 * (rng.random((40, 2000)) ** -0.4 - 1) / 0.4
    shape, scale = fit_pareto(samples)
    assert shape.mean() == pytest.approx(0.4, abs=0.03)
    assert scale.mean() == pytest.approx(2.0, rel=0.03)
    shape, scale = fit_pareto(rng.random((5, 500)))
    assert (shape == 0).all()
    np.testing.assert_allclose(scale, 0.5, atol=0.05)


@pytest.mark.parametrize("shape", [0.05, 0.1, 0.3])
def test_a_tail_that_is_a_little_heavier_than_exponential_is_fitted_as_such(shape):
    uniform = np.random.default_rng(3).random((20, 5000))
    shapes, scales = fit_pareto((uniform**-shape - 1) / shape)
    assert shapes.mean() == pytest.approx(shape, abs=0.02)
    assert scales.mean() == pytest.approx(1, abs=0.03)
