"""Significance: a slow reference of the re-dealing, laws, and false alarms where nothing differs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_pipelines.comparison import Selection, emd_bins, significance, too_coarse, why_untestable
from dna_pipelines.comparison.p_values import p_values
from dna_pipelines.comparison.permutation import permute, permuted_distances, resample, resampled_distances, units_of
from dna_pipelines.comparison.significance import _interval
from dna_pipelines.distributions import COARSE_BINS, Layer, Layers
from dna_pipelines.identity import N_BLOCKS

N_NEURONS, N_TOKENS = 12, 6
LAYERS = Layers((Layer("a", 8), Layer("b", 4)))


def sample(rng, n_images, group_size=1, shift=0.0, n_shifted=0):
    """Block counts of images whose tokens share an effect of the image and, in groups, one of the group."""
    n_groups = n_images // group_size
    factors = rng.normal(size=(n_groups, group_size, 3)) @ np.random.default_rng(1).normal(size=(3, N_NEURONS))
    effects = (factors + rng.normal(size=factors.shape)) * (0.3 if group_size > 1 else 1)
    if group_size > 1:
        effects = effects + 1.5 * rng.normal(size=(n_groups, 1, N_NEURONS))
    effects[..., :n_shifted] += shift
    values = effects[..., None] + 0.5 * rng.normal(size=(*effects.shape, N_TOKENS))
    bins = np.clip((values + 8) / 16 * COARSE_BINS, 0, COARSE_BINS - 1).astype(int)
    blocks = rng.integers(0, N_BLOCKS, n_groups)
    counts = np.zeros((N_NEURONS, N_BLOCKS, COARSE_BINS), np.uint64)
    np.add.at(counts, (np.arange(N_NEURONS)[None, None, :, None], blocks[:, None, None, None], bins), 1)
    return counts, (np.bincount(blocks, minlength=N_BLOCKS) * group_size).astype(np.uint64)


def judged(a, b, layers=LAYERS, n_permutations=199, seed=1, selection=None):
    return significance(
        selection or Selection.everything(layers),
        lambda name: (a[0][layers.slice_of(name)], b[0][layers.slice_of(name)]),
        a[1],
        b[1],
        n_permutations=n_permutations,
        seed=seed,
        n_bins=COARSE_BINS,
    )


def slow_distances(a, b, units, permutations):
    """Move block by block, add up counts, and move mass from bin to bin."""
    rows = []
    for row, scale in zip(permutations.to_a, permutations.scale, strict=True):
        sides = [np.zeros((N_NEURONS, COARSE_BINS), np.uint64) for _ in range(2)]
        for (counts, _), of in ((a, units.of_a), (b, units.of_b)):
            for block in range(N_BLOCKS):
                if of[block] >= 0:
                    sides[0 if row[of[block]] else 1] += counts[:, block]
        rows.append(scale * emd_bins(*sides))
    return np.array(rows)


@pytest.mark.parametrize(("n_a", "n_b"), [(30, 30), (90, 30), (40, 300), (2000, 50)])
def test_the_kernel_permutes_like_the_slow_reference(n_a, n_b):
    rng = np.random.default_rng(n_a)
    a, b = sample(rng, n_a), sample(rng, n_b, shift=1, n_shifted=3)
    units = units_of(a[1], b[1])
    permutations = permute(units, 20, rng)
    found = permuted_distances(a[0], b[0], units, permutations)
    np.testing.assert_allclose(found, slow_distances(a, b, units, permutations), rtol=1e-5)
    np.testing.assert_allclose(found[0], emd_bins(a[0].sum(axis=1), b[0].sum(axis=1)), rtol=1e-5)


def test_counts_too_large_for_float32_keep_their_precision():
    rng = np.random.default_rng(0)
    a, b = sample(rng, 200), sample(rng, 200)
    huge = [(counts * np.uint64(3_000_000_019), n) for counts, n in (a, b)]
    units = units_of(a[1], b[1])
    permutations = permute(units, 30, rng)
    np.testing.assert_allclose(
        permuted_distances(huge[0][0], huge[1][0], units, permutations),
        permuted_distances(a[0], b[0], units, permutations),
        rtol=1e-5,
    )


def test_neurons_with_fewer_values_in_some_blocks_are_normalised_by_their_own():
    rng = np.random.default_rng(3)
    a, b = sample(rng, 60), sample(rng, 60)
    # NaN is not counted: one neuron lacks two thirds of its values in half of the blocks, another all of a side.
    a[0][0, ::2] //= np.uint64(3)
    a[0][1] = 0
    units = units_of(a[1], b[1])
    permutations = permute(units, 10, rng)
    found = permuted_distances(a[0], b[0], units, permutations)
    assert np.isnan(found[0, 1])
    kept = np.arange(N_NEURONS) != 1
    np.testing.assert_allclose(found[:, kept], slow_distances(a, b, units, permutations)[:, kept], rtol=1e-5)
    result = judged(a, b)
    assert np.isnan(result.neuron_p[1])
    assert result.n_tested == N_NEURONS - 1


def test_rounding_alone_is_no_difference_between_permutations():
    # A neuron that fires in one of many equal clips gives one distance, whichever side the clip is permuted to.
    rng = np.random.default_rng(5)
    sides = []
    for side in range(2):
        n_images = np.zeros(N_BLOCKS, np.uint64)
        n_images[rng.choice(N_BLOCKS, 16, replace=False)] = 50
        counts = np.zeros((N_NEURONS, N_BLOCKS, COARSE_BINS), np.uint64)
        counts[:, :, 10] = 2500 * (n_images > 0)
        for neuron in range(side, N_NEURONS, 2):
            block, n_fired = rng.choice(np.flatnonzero(n_images)), rng.integers(1, 2500)
            counts[neuron, block, 10] -= np.uint64(n_fired)
            counts[neuron, block, rng.integers(11, COARSE_BINS)] += np.uint64(n_fired)
        sides.append((counts, n_images))
    result = judged(*sides)
    assert np.isnan(result.neuron_p).all()
    assert np.isnan(result.p_strongest)
    assert result.p == 1.0


@settings(max_examples=50)
@given(data=st.data(), n_a=st.integers(1, 3000), n_b=st.integers(1, 3000))
def test_units_hold_every_image_and_are_about_equal(data, n_a, n_b):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sides = [np.bincount(rng.integers(0, N_BLOCKS, n), minlength=N_BLOCKS).astype(np.uint64) for n in (n_a, n_b)]
    units = units_of(*sides)
    assert (units.n_images_a, units.n_images_b) == (n_a, n_b)
    assert (units.n_images > 0).all()
    for n_images, of in zip(sides, (units.of_a, units.of_b), strict=True):
        assert ((of >= 0) == (n_images > 0)).all()
    rebuilt = np.zeros(len(units.n_images), np.int64)
    for n_images, of in zip(sides, (units.of_a, units.of_b), strict=True):
        np.add.at(rebuilt, of[of >= 0], n_images[of >= 0].astype(np.int64))
    np.testing.assert_array_equal(rebuilt, units.n_images)


def test_each_side_gets_about_as_many_images_as_it_had():
    rng = np.random.default_rng(5)
    for n_a, n_b in ((160, 160), (160, 40), (40, 640), (2000, 160)):
        units = units_of(sample(rng, n_a)[1], sample(rng, n_b)[1])
        permutations = permute(units, 200, rng)
        permuted = permutations.to_a @ units.n_images
        assert permuted[0] == n_a
        assert abs(permuted[1:].mean() - n_a) < 0.05 * min(n_a, n_b)
        # The scale is that of √(1/n_a + 1/n_b).
        total = n_a + n_b
        wanted = np.sqrt((1 / n_a + 1 / n_b) / (1 / permuted + 1 / (total - permuted)))
        np.testing.assert_allclose(permutations.scale, wanted)


def test_every_permutation_of_a_few_equal_units_gives_the_exact_p():
    """Four blocks a side: all C(8, 4) = 70 permutations can be counted."""
    rng = np.random.default_rng(11)
    counts = rng.integers(0, 30, (2, N_NEURONS, N_BLOCKS, COARSE_BINS)).astype(np.uint64)
    n_images = np.zeros(N_BLOCKS, np.uint64)
    n_images[:4] = 10
    counts[:, :, 4:] = 0
    pool = np.concatenate([counts[0, :, :4], counts[1, :, :4]], axis=1)
    neurons = []
    for first in itertools.combinations(range(8), 4):
        rest = [unit for unit in range(8) if unit not in first]
        neurons.append(emd_bins(pool[:, first].sum(axis=1), pool[:, rest].sum(axis=1)))
    neurons = np.array(neurons)
    every, strongest = neurons.mean(axis=1), ((neurons - neurons.mean(axis=0)) / neurons.std(axis=0)).max(axis=1)
    shares = [[np.mean(one >= value - 1e-6 * abs(value)) for value in one] for one in (every, strongest)]
    smallest = np.minimum(np.divide(shares[0], 0.2), np.divide(shares[1], 0.8))
    result = judged((counts[0], n_images), (counts[1], n_images), n_permutations=4000)
    for found, exact in (
        (result.p_mean, shares[0][0]), (result.p_strongest, shares[1][0]), (result.p, np.mean(smallest <= smallest[0])),
    ):  # fmt: skip
        assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 4000) ** 0.5 + 1e-3)
    assert result.null_mean_bins == pytest.approx(np.mean(every), rel=0.02)
    assert result.null_sd_bins == pytest.approx(np.std(every), rel=0.05)


def test_resampling_is_the_first_order_of_the_bootstrap():
    """Of blocks with equally many values, drawing is linear in the counts, so there the first order is everything."""
    rng = np.random.default_rng(2)
    a, b = (rng.multinomial(60, np.full(COARSE_BINS, 1 / COARSE_BINS), (N_NEURONS, N_BLOCKS)) for _ in range(2))
    n_images = np.full(N_BLOCKS, 5, np.uint64)
    units = units_of(n_images, n_images, alike=False)
    drawn = resample(units, 5, rng)
    found = resampled_distances(a.astype(np.uint64), b.astype(np.uint64), units, drawn)
    for row, distances in zip(drawn.rows, found, strict=True):
        times = np.bincount(row, minlength=2 * N_BLOCKS + 2)
        assert times[2 * N_BLOCKS] == 1
        sides = [
            (times[start : start + N_BLOCKS, None] * counts).sum(axis=1).astype(np.uint64)
            for start, counts in ((0, a), (N_BLOCKS, b))
        ]
        np.testing.assert_allclose(distances, emd_bins(*sides), rtol=1e-4, atol=1e-5)


def false_alarms(n_trials, n_a, n_b, group_size=1, seed=0):
    """The shares of trials without a difference in which the combined test, the mean and any neuron are significant."""
    rng, said = np.random.default_rng(seed), []
    for _ in range(n_trials):
        a, b = sample(rng, n_a, group_size), sample(rng, n_b, group_size)
        units = units_of(a[1], b[1])
        permuted = permuted_distances(a[0], b[0], units, permute(units, 99, rng))
        found = p_values(permuted, np.ones(N_NEURONS))
        said.append((found.p, found.p_mean, np.nanmin(found.neuron_p)))
    return (np.array(said) <= 0.05 + 1e-9).mean(axis=0)


SIZES = [(160, 160, 1), (160, 40, 1), (640, 160, 1), (160, 160, 8)]


@pytest.mark.parametrize(("n_a", "n_b", "group_size"), SIZES)
def test_where_nothing_differs_alarms_are_rare(n_a, n_b, group_size):
    # 100 trials at 5 %: more than 13 % happens once in 2,000 times; permutations without regard to sizes gives 90 %.
    assert (false_alarms(100, n_a, n_b, group_size) <= 0.13).all()


@pytest.mark.campaign
@pytest.mark.parametrize(("n_a", "n_b", "group_size"), [*SIZES, (40, 40, 1), (2000, 40, 1), (2000, 160, 1)])
def test_where_nothing_differs_the_level_is_kept(n_a, n_b, group_size):
    assert (false_alarms(3000, n_a, n_b, group_size, seed=1) < 0.065).all()


def test_no_p_is_smaller_than_the_number_of_permutations_allows():
    """With as many units on both sides every permutation and its complement give one distance, so there are half as many."""
    one_each = np.zeros(N_BLOCKS, np.uint64)
    one_each[:8] = 5
    fewer = one_each.copy()
    fewer[6:] = 0
    rng = np.random.default_rng(2)
    equal, unequal = (permute(units_of(one_each, other), 99, rng) for other in (one_each, fewer))
    assert equal.n_ways == 12870
    assert equal.smallest_p == pytest.approx(2 / 12870)
    assert unequal.smallest_p == pytest.approx(1 / 3003)
    a, b = (np.zeros((N_NEURONS, N_BLOCKS, COARSE_BINS), np.uint64) for _ in range(2))
    for side, start in ((a, 0), (b, 45)):
        for block in range(8):
            side[np.arange(N_NEURONS), block, start + rng.integers(0, 3, N_NEURONS)] = 50
    result = judged((a, one_each), (b, one_each), n_permutations=999)
    assert result.p_tail >= 2 / 12870


def test_dealing_images_of_groups_one_by_one_is_wrong():
    """What makes groups necessary: the same images in blocks of their own, as if nothing bound them together."""
    rng, alarms = np.random.default_rng(4), 0
    for _ in range(8):
        sides = []
        for _side in range(2):
            parts = [sample(rng, 8, group_size=8) for _ in range(8)]
            # Every group is spread over all blocks.
            spread = [np.roll(counts, 1, axis=1) for counts, _ in parts]
            total = sum(spread).sum(axis=1).astype(int)
            counts = np.zeros((N_NEURONS, N_BLOCKS, COARSE_BINS), np.uint64)
            for d in range(N_NEURONS):
                tokens = np.repeat(np.arange(COARSE_BINS), total[d])
                rng.shuffle(tokens)
                np.add.at(counts[d], (np.arange(len(tokens)) % N_BLOCKS, tokens), 1)
            sides.append((counts, np.ones(N_BLOCKS, np.uint64)))
        alarms += judged(*sides, n_permutations=99).p <= 0.05
    assert alarms >= 6


def test_an_interval_is_wide_where_the_distance_may_well_have_come_out_too_large():
    """Resamples that reach far up say that the true distance may lie far below, not above (basic bootstrap)."""
    low, high = _interval(10.0, np.repeat([0.0, 10.0], [90, 10]))
    assert (low, high) == (1.0, 11.0)


def test_a_change_of_some_neurons_is_found_and_named():
    rng = np.random.default_rng(6)
    a, b = sample(rng, 160), sample(rng, 160, shift=2.5, n_shifted=3)
    result = judged(a, b, n_permutations=999)
    assert result.p < 0.01
    assert set(np.flatnonzero(result.neuron_p <= 0.05)) == {0, 1, 2}
    assert result.n_changed == 3
    p = {layer.layer: layer.p for layer in result.layers}
    assert p["a"] < 0.01 < 0.05 < p["b"]
    assert 0 < result.ci_low_bins < result.bias_corrected_bins < result.ci_high_bins
    assert result.bias_corrected_bins == pytest.approx(result.emd_bins - result.null_mean_bins)
    assert result.tail_estimated
    assert result.p_tail < result.p


@pytest.mark.parametrize(("shift", "n_shifted", "better", "worse"), [(4.0, 1, 2, 1), (0.5, 50, 1, 2)])
def test_the_combined_test_sees_a_change_of_few_neurons_as_one_of_all(shift, n_shifted, better, worse):
    """Power near that of the better test, whichever it is: permutations of 50 independent neurons."""
    rng, said = np.random.default_rng(13), []
    for _ in range(200):
        permuted = rng.normal(size=(200, 50))
        permuted[0, :n_shifted] += shift
        found = p_values(permuted, np.ones(50))
        most = min(found.p_mean / 0.2, found.p_strongest / 0.8)
        assert min(found.p_mean, found.p_strongest) <= found.p <= most + 1e-9
        said.append((found.p, found.p_mean, found.p_strongest))
    power = (np.array(said) <= 0.05).mean(axis=0)
    assert power[better] > power[worse] + 0.4
    assert power[0] > power[better] - 0.2


def test_a_neuron_that_hardly_counts_does_not_decide():
    rng = np.random.default_rng(14)
    a, b = sample(rng, 160), sample(rng, 160, shift=4.0, n_shifted=1)
    weights = np.ones(LAYERS.n_neurons)
    assert judged(a, b).p < 0.02
    weights[0] = 0.01
    hardly = judged(a, b, selection=Selection(LAYERS, weights))
    assert hardly.neuron_p[0] < 0.02
    assert not hardly.significant
    # Where nothing is significant, no neuron counts as changed.
    assert hardly.n_changed == 0


def test_shared_images_hide_what_was_added_and_the_added_ones_alone_show_it():
    """40 images are added to 400, 10 of them strongly shifted: why versions that overlap are not tested as they are."""
    rng, hidden, shown = np.random.default_rng(12), 0, 0
    for _ in range(10):
        old, usual, odd = sample(rng, 400), sample(rng, 30), sample(rng, 10, shift=6.0, n_shifted=N_NEURONS)
        added = (usual[0] + odd[0], usual[1] + odd[1])
        new = (old[0] + added[0], old[1] + added[1])
        hidden += judged(old, new, n_permutations=99).p <= 0.05
        shown += judged(added, old, n_permutations=99).p <= 0.05
    assert (hidden, shown) == (0, 10)


def test_only_the_selection_is_tested():
    rng = np.random.default_rng(7)
    a, b = sample(rng, 160), sample(rng, 160, shift=3.0, n_shifted=3)
    of_b = judged(a, b, selection=Selection.of(LAYERS, ["b"]))
    assert [layer.layer for layer in of_b.layers] == ["b"]
    assert np.isnan(of_b.neuron_p[:8]).all()
    assert np.isfinite(of_b.neuron_p[8:]).all()
    assert of_b.p > 0.05
    weights = np.zeros(LAYERS.n_neurons)
    weights[[0, 8]] = 3.0, 1.0
    weighted = judged(a, b, selection=Selection(LAYERS, weights))
    distances = emd_bins(a[0].sum(axis=1), b[0].sum(axis=1))
    assert weighted.emd_bins == pytest.approx((3 * distances[0] + distances[8]) / 4, rel=1e-5)


def test_the_same_seed_says_the_same():
    rng = np.random.default_rng(8)
    a, b = sample(rng, 60), sample(rng, 60)
    one, other, third = judged(a, b, seed=5), judged(a, b, seed=5), judged(a, b, seed=6)
    assert (one.p, one.null_mean_bins) == (other.p, other.null_mean_bins)
    np.testing.assert_array_equal(one.neuron_p, other.neuron_p)
    assert third.null_mean_bins != one.null_mean_bins


def test_a_constant_neuron_is_not_tested_and_disturbs_no_other():
    rng = np.random.default_rng(9)
    a, b = sample(rng, 60), sample(rng, 60)
    for counts, _ in (a, b):
        counts[5, :, 0] = counts[5].sum(axis=1)
        counts[5, :, 1:] = 0
    result = judged(a, b)
    assert np.isnan(result.neuron_p[5])
    assert result.n_tested == N_NEURONS - 1
    assert np.isfinite(result.p)


@pytest.mark.parametrize(
    ("sizes_a", "sizes_b", "code"),
    [
        ([10] * 64, [1] * 5, "significance.blocks-too-coarse"),
        ([5] * 3, [5] * 3, "significance.too-few-units"),
        ([500, *[10] * 30], [80, *[10] * 20], "significance.groups-too-unequal"),
        ([1], [], "significance.no-images"),
        ([2] * 30, [2] * 20, None),
        ([30] * 64, [1] * 30, None),
    ],
)
def test_a_pair_that_cannot_be_tested_has_a_reason(sizes_a, sizes_b, code):
    sides = [np.pad(np.array(sizes, np.uint64), (0, N_BLOCKS - len(sizes))) for sizes in (sizes_a, sizes_b)]
    for a, b in (sides, sides[::-1]):
        why = why_untestable(a, b)
        assert (why and why.code) == code
        assert too_coarse(a, b) == (code == "significance.blocks-too-coarse")


@pytest.mark.campaign
def test_the_interval_holds_the_expected_bias_corrected_distance():
    rng = np.random.default_rng(10)
    results = [
        judged(sample(rng, 160), sample(rng, 160, shift=0.8, n_shifted=6), n_permutations=99) for _ in range(300)
    ]
    expected = np.mean([result.bias_corrected_bins for result in results])
    inside = np.mean([result.ci_low_bins <= expected <= result.ci_high_bins for result in results])
    assert inside > 0.9
