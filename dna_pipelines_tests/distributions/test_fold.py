"""The fast folds against the slow one."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.distributions import Binning, Layer, Layers, fold_kernels
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.errors import UserError
from dna_pipelines.extraction.devices.device_fold import DeviceFold
from dna_pipelines_tests.distributions.slow import slow_fold
from dna_pipelines_tests.raising import raises

TALLIES = ("clipped_low", "clipped_high", "n_zero", "n_nan", "n_values")
# Edges and values are dyadic, so that (x - lo) * scale is exact and a value can sit on an edge.
LO, HI, N_BINS = -2.0, 2.0, 1000
ON_THE_GRID = st.integers(-3000, 3000).map(lambda k: k / 1024) | st.sampled_from(
    [LO, HI, 0.0, -0.0, np.nextafter(np.float32(HI), np.float32(9)).item(), float("nan"), float("inf"), float("-inf")]
)


@st.composite
def activations(draw):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9)))
    values = draw(hnp.arrays(np.float32, shape, elements=ON_THE_GRID.map(np.float32)))
    blocks = draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, 63)))
    return values, blocks


def in_tokens(values):
    """The same values with neurons last in memory."""
    return np.ascontiguousarray(values.transpose(0, 2, 1)).transpose(0, 2, 1)


def whole(fold_type, values, blocks, cut):
    """Fold in two batches, by two folds that are merged."""
    n_images, n_neurons, _ = values.shape
    binning = Binning(np.full(n_neurons, LO), np.full(n_neurons, HI), N_BINS)
    device = ("cpu",) if fold_type is DeviceFold else ()
    folds = [fold_type(binning, blocks, *device) for _ in range(2)]
    pooled = np.empty((n_images, n_neurons))
    for fold, images in zip(folds, (slice(0, cut), slice(cut, n_images)), strict=True):
        part = values[images]
        if len(part) == 0:
            continue
        if device:
            fold.add(slice(0, n_neurons), torch.from_numpy(part), images)
            fold.pooled_into(pooled)
        else:
            fold.add(slice(0, n_neurons), part, images, pooled[images])
    folds[0].merge(folds[1])
    return folds[0], pooled


@pytest.mark.parametrize(("fold_type", "layout"), [(Fold, "conv"), (Fold, "tokens"), (DeviceFold, "conv")])
@given(drawn=activations(), data=st.data())
def test_folding_is_what_its_definition_says(fold_type, layout, drawn, data):
    values, blocks = drawn
    laid_out = in_tokens(values) if layout == "tokens" else values
    fold, pooled = whole(fold_type, laid_out, blocks, data.draw(st.integers(1, len(values))))
    n_neurons = values.shape[1]
    counts, coarse, tallies, minimum, maximum = slow_fold(values, [LO] * n_neurons, [HI] * n_neurons, N_BINS, blocks)
    histogram, block_counts = fold.histogram(), fold.block_counts()
    np.testing.assert_array_equal(histogram.counts, counts)
    np.testing.assert_array_equal(block_counts.counts, coarse)
    np.testing.assert_array_equal(block_counts.n_images, np.bincount(blocks, minlength=64))
    for name in TALLIES:
        np.testing.assert_array_equal(getattr(histogram, name), tallies[name], err_msg=name)
    np.testing.assert_array_equal(histogram.minimum, minimum)
    np.testing.assert_array_equal(histogram.maximum, maximum)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(pooled, values.astype(np.float64).mean(axis=2), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("layout", ["conv", "tokens"])
def test_both_memory_layouts_give_the_same_counts_on_real_sized_layers(layout):
    rng = np.random.default_rng(0)
    n_neurons = 300
    values = rng.normal(0, 1, (8, n_neurons, 197)).astype(np.float32)
    binning = Binning(np.full(n_neurons, -3.0), np.full(n_neurons, 3.5))
    fold = Fold(binning, np.arange(8))
    laid_out = in_tokens(values) if layout == "tokens" else values
    fold.add(slice(0, n_neurons), laid_out, slice(0, 8), np.empty((8, n_neurons)))
    expected = np.stack(
        [np.histogram(np.clip(values[:, d], -3.0, 3.5), bins=1000, range=(-3.0, 3.5))[0] for d in range(n_neurons)]
    )
    # numpy's own edges are rounded another way: a value may sit on the other side of one.
    assert np.abs(np.cumsum(fold.histogram().counts, axis=1).astype(int) - np.cumsum(expected, axis=1)).max() <= 1
    assert (fold.histogram().n_values == 8 * 197).all()


@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize("n_images", [1, 3])
@pytest.mark.parametrize("part", [slice(0, 4), slice(1, 3)])
@pytest.mark.parametrize("layout", ["conv", "tokens"])
def test_whatever_the_shape_nothing_is_recompiled(n_blocks, n_images, part, layout):
    fold = Fold(Binning(np.full(4, LO), np.full(4, HI)), np.arange(n_images) % n_blocks)
    values = np.zeros((n_images, part.stop - part.start, 5), np.float32)
    fold.add(
        part, in_tokens(values) if layout == "tokens" else values, slice(0, n_images), np.empty((n_images, 4))[:, part]
    )
    assert [len(kernel.signatures) for kernel in (fold_kernels.fold_rows, fold_kernels.fold_tokens)] == [1, 1]


def test_tokens_without_the_first_are_folded_as_tokens(monkeypatch):
    values = np.random.default_rng(0).normal(0, 1, (3, 7, 6)).astype(np.float32)
    fold = Fold(Binning(np.full(7, LO), np.full(7, HI)), np.arange(3))
    monkeypatch.setattr(fold_kernels, "fold_rows", None)
    fold.add(slice(0, 7), in_tokens(values)[:, :, 1:], slice(0, 3), pooled := np.empty((3, 7)))
    np.testing.assert_allclose(pooled, values[:, :, 1:].mean(axis=2, dtype=np.float64), rtol=1e-12)


@pytest.mark.parametrize("fold_type", [Fold, DeviceFold])
def test_no_position_is_refused(fold_type):
    nothing, binning = np.empty((1, 2, 0), np.float32), Binning(np.zeros(2), np.ones(2))
    device = ("cpu",) if fold_type is DeviceFold else ()
    values, pooled = (torch.from_numpy(nothing), ()) if device else (nothing, (np.empty((1, 2)),))
    fold = fold_type(binning, np.zeros(1, int), *device)
    with pytest.raises(ValueError):
        fold.add(slice(0, 2), values, slice(0, 1), *pooled)


@pytest.mark.parametrize(("fold_type", "device", "most"), [(Fold, (), 2**32), (DeviceFold, ("cpu",), 2**31)])
def test_more_values_than_counts_can_hold_are_refused_when_lanes_add_up(fold_type, device, most):
    folds = [fold_type(Binning(np.zeros(2), np.ones(2)), np.zeros(1, int), *device) for _ in range(3)]
    for fold in folds:
        fold._n_values[1] = most // 2 - 1
    folds[0].merge(folds[1])
    with raises(UserError, "network.too-many-values", limit=most):
        folds[0].merge(folds[2])


def test_a_constant_neuron_gets_the_scale_of_its_layer():
    layers = Layers((Layer("a", 3), Layer("b", 1)))
    binning = Binning.from_observed(np.array([0.0, 5.0, -1.0, 7.0]), np.array([2.0, 5.0, 1.0, 7.0]), layers)
    np.testing.assert_allclose(binning.hi - binning.lo, [2.4, 2.4, 2.4, 2.0])
    np.testing.assert_allclose((binning.hi + binning.lo) / 2, [1.0, 5.0, 0.0, 7.0])


def test_edges_that_span_nothing_are_refused():
    with pytest.raises(ValueError):
        Binning(np.array([1.0]), np.array([1.0]))


def test_the_binning_id_is_the_edges():
    one = Binning(np.array([0.0]), np.array([1.0]))
    assert one.id == Binning(np.array([0.0]), np.array([1.0])).id
    assert one.id != Binning(np.array([0.0]), np.nextafter(np.array([1.0]), 2)).id
    assert one.id != Binning(np.array([0.0]), np.array([1.0]), n_bins=500).id
