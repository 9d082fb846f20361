"""Views: linear maps and cells, from activations to DNAs that show what single neurons do not."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dna_pipelines.comparison import Selection, compare
from dna_pipelines.config import View
from dna_pipelines.distributions import Covariance, Layer, Layers, Moments
from dna_pipelines.dna import Basis, Dna
from dna_pipelines.dna.basis import REGULARISATION, main_components, random_directions
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices.device_fold import DeviceFold
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Network, Positions
from dna_pipelines.extraction.inputs import network_input
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.taps import neurons_second
from dna_pipelines.extraction.views import view_basis as bases
from dna_pipelines.extraction.views.view_basis import measure_basis
from dna_pipelines.extraction.views.view_extractor import mapped, view_of
from dna_pipelines.extraction.views.view_layers import layers_of_view
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.imaging import Preprocessing
from dna_pipelines.manifests import Shard
from dna_pipelines_tests import toy
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal
from dna_pipelines_tests.raising import raises

IMAGES = {digest_of(data): data for data in map(toy.image_bytes, range(24))}
DIGESTS = sorted(IMAGES)
VIEWS = ["projected", "whitened3", "spatial", "spatial3"]


@pytest.fixture(scope="module", params=["toy", "seeded_vit"])
def base(request):
    return load_extractor(request.param, batch_size=8)


@pytest.fixture(scope="module", params=VIEWS)
def viewed(request, base):
    """A view that is ready to measure, with its ranges."""
    view = view_of(base, View.parse(request.param))
    ranges = calibrate(view, DIGESTS, ("x",), IMAGES.__getitem__, workers=1)
    return view.bound(ranges), ranges


def outputs(extractor):
    """Layer by layer (n_images, n_neurons, n_positions) of the first eight images."""
    inputs = torch.from_numpy(
        np.stack([network_input(IMAGES[d], extractor.network.preprocessing) for d in DIGESTS[:8]])
    )
    found = {}
    extractor.run(inputs, lambda i, out: found.update({i: neurons_second(out, extractor.axes[i]).float().clone()}))
    return [found[index].numpy() for index in range(len(extractor.layers))]


def partial_of(extractor, ranges, digests):
    cut = Shard(tuple(map(Item, digests)))
    [(_, partial)] = extract_partials(extractor, ranges, [cut], IMAGES.__getitem__, workers=1)
    return partial


def slow_cells(values, n_before, side, n):
    """Each position on its own is put into the cell it lies in."""
    cells = [[[] for _ in range(n)] for _ in range(n)]
    edges = [i * side // n for i in range(1, n)]
    for position in range(values.shape[2] - n_before):
        row, column = divmod(position, side)
        cells[sum(row >= e for e in edges)][sum(column >= e for e in edges)].append(n_before + position)
    return [values[:, :, places] for line in cells for places in line]


def test_what_a_view_gives_is_the_slow_one(base, viewed):
    view, ranges = viewed
    theirs, ours = outputs(base), outputs(view)
    if view.view.kind == "spatial":
        expected = [
            cell
            for values, at in zip(theirs, base.positions, strict=True)
            for cell in slow_cells(values, at.n_before, at.grid[0], view.view.n)
        ]
    else:
        expected = [
            np.einsum("kd,ndp->nkp", w.astype(float), values.astype(float)) + b[:, None]
            for values, w, b in zip(theirs, ranges.basis.weights, ranges.basis.offsets, strict=True)
        ]
    assert len(ours) == len(expected) == len(view.layers)
    for layer, values, slow in zip(view.layers, ours, expected, strict=True):
        assert values.shape == slow.shape
        assert values.shape[1] == layer.n_neurons
        np.testing.assert_allclose(values, slow, rtol=1e-4, atol=1e-4 if view.view.needs_basis else 0)


def test_partials_of_views_merge_like_any(viewed):
    view, ranges = viewed
    whole = partial_of(view, ranges, DIGESTS)
    first, second = (partial_of(view, ranges, some) for some in (DIGESTS[:5], DIGESTS[5:]))
    merged = first.merge(second)
    counts_equal(merged.histogram, whole.histogram)
    counts_equal(merged.blocks, whole.blocks)
    moments_equal(merged.moments, whole.moments)
    assert whole.histogram.clipped_share == 0
    assert whole.histogram.n_values.sum() > 0
    assert {layer.kind for layer in view.layers} & {"projection", "whitened", "cell"}


def test_cells_add_up_to_the_layer(base):
    """What all cells of a neuron count together is what the neuron counts, but for tokens that lie nowhere."""
    ranges = calibrate(base, DIGESTS, ("x",), IMAGES.__getitem__, workers=1)
    view = view_of(base, View.parse("spatial"))
    repeated = [ranges.binning.lo[base.layers.slice_of(name)] for name in base.layers.names for _ in range(4)]
    upper = [ranges.binning.hi[base.layers.slice_of(name)] for name in base.layers.names for _ in range(4)]
    binning = dataclasses.replace(ranges.binning, lo=np.concatenate(repeated), hi=np.concatenate(upper))
    of_view = dataclasses.replace(
        calibrate(view, DIGESTS, ("x",), IMAGES.__getitem__, workers=1), layers=view.layers, binning=binning
    )
    cells, layers = partial_of(view, of_view, DIGESTS), partial_of(base, ranges, DIGESTS)
    for index, name in enumerate(base.layers.names):
        mine = [cells.histogram.counts[view.layers.slice_of(f"{name}.r{i}c{j}")] for i in (0, 1) for j in (0, 1)]
        whole = layers.histogram.counts[base.layers.slice_of(name)]
        n_outside = base.positions[index].n_before * len(DIGESTS)
        assert ((whole - sum(mine)).sum(axis=1) == n_outside).all()
        if not n_outside:
            np.testing.assert_array_equal(sum(mine), whole)


def test_devices_fold_views_likewise(viewed, monkeypatch):
    view, ranges = viewed
    expected = partial_of(view, ranges, DIGESTS)
    monkeypatch.setattr(
        "dna_pipelines.extraction.partials._new_fold", lambda *arguments: DeviceFold(*arguments[:2], "cpu")
    )
    found = partial_of(view, ranges, DIGESTS)
    counts_equal(found.histogram, expected.histogram)
    counts_equal(found.blocks, expected.blocks)


def test_a_basis_does_not_depend_on_workers(base):
    view = View.parse("whitened")
    one, three = (measure_basis([base], view, DIGESTS, IMAGES.__getitem__, workers=workers) for workers in (1, 3))
    assert one.id == three.id


def test_whitened_components_are_white_on_what_they_were_measured_on(base):
    basis = measure_basis([base], View.parse("whitened3"), DIGESTS[:8], IMAGES.__getitem__, workers=1)
    view = view_of(base, View.parse("whitened3")).with_basis(basis)
    for values in outputs(view):
        flat = values.transpose(1, 0, 2).reshape(3, -1)
        np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-3)
        seen = np.cov(flat)
        np.testing.assert_allclose(seen - np.diag(np.diag(seen)), 0, atol=1e-3)
        # λ / (λ + ε): nearly 1 for all but components without variance.
        assert (np.diag(seen) <= 1.001).all()
        assert np.diag(seen)[0] > 1 / (1 + 2 * REGULARISATION)


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("n_positions", [1, 9, 16, 49, 64, 65, 197])
@pytest.mark.parametrize("n_outputs", [1, 3, 64])
def test_an_image_gives_the_same_bits_in_every_row_of_a_batch(n_outputs, n_positions, tokens):
    generator = torch.Generator().manual_seed(0)
    weights, offsets = (torch.randn(n_outputs, n, generator=generator) for n in (24, 1))
    image = torch.randn(24, n_positions, generator=generator)
    images = image.expand(5, -1, -1)
    with reproducible():
        found = mapped(images.mT.contiguous().mT if tokens else images, weights, offsets)
    assert all(torch.equal(one, found[0]) for one in found)
    torch.testing.assert_close(found[0], weights @ image + offsets, rtol=1e-5, atol=1e-5)


def test_fast_networks_are_mapped_in_float32():
    """The map itself never runs in bfloat16, whatever the network does."""
    fast = load_extractor("seeded_vit", batch_size=8, precision="fast")
    view = view_of(fast, View.parse("projected"))
    ranges = calibrate(view, DIGESTS[:8], ("x",), IMAGES.__getitem__, workers=1)
    theirs, ours = outputs(fast), outputs(view.bound(ranges))
    for values, ours_of_layer, w, b in zip(theirs, ours, ranges.basis.weights, ranges.basis.offsets, strict=True):
        expected = np.einsum("kd,ndp->nkp", w.astype(float), values.astype(float)) + b[:, None]
        np.testing.assert_allclose(ours_of_layer, expected, rtol=1e-4, atol=1e-4)


def test_the_basis_of_a_fast_network_is_measured_in_float32():
    fast = load_extractor("seeded_vit", batch_size=8, precision="fast")
    seen = []

    def measured(_index, output):
        assert torch.is_autocast_enabled("cpu")
        seen.append((bases._moments(output.mT.float(), whole=True), output.flatten(0, 1).double().numpy()))

    fast.run(torch.zeros(8, 3, 64, 64).normal_(generator=torch.Generator().manual_seed(0)), measured)
    for covariance, rows in seen:
        np.testing.assert_allclose(covariance.mean, rows.mean(axis=0), rtol=1e-6, atol=1e-6)
        expected = np.cov(rows.T, bias=True) * len(rows)
        np.testing.assert_allclose(covariance.comoment, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_keys_say_the_view_and_the_basis(base, viewed):
    view, ranges = viewed
    own = calibrate(base, DIGESTS, ("x",), IMAGES.__getitem__, workers=1)
    assert view.fingerprint != base.fingerprint
    [said] = [
        line for line in base.comparability_key(own).differences(view.comparability_key(ranges)) if "view" in line
    ]
    assert view.view.kind in said
    others = {view_of(base, View.parse(text)).fingerprint for text in (*VIEWS, "projected32", "whitened", "spatial4")}
    assert len(others) == len(VIEWS) + 3
    if ranges.basis:
        moved = Basis(tuple(w + np.float32(1e-3) for w in ranges.basis.weights), ranges.basis.offsets)
        assert dataclasses.replace(ranges, basis=moved).id != ranges.id
        assert view.comparability_key(dataclasses.replace(ranges, basis=moved)).id != view.comparability_key(ranges).id


@pytest.mark.parametrize("text", ["projected", "whitened"])
def test_a_change_of_dependence_is_seen_by_views_alone(text):
    """Neurons exchanged between images: the same marginals to the last count, and another joint distribution."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(4000, 2))
    joint = hidden @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(4000, 6))
    shuffled = np.stack([rng.permutation(column) for column in joint.T], axis=1)
    fresh = rng.normal(size=(4000, 2)) @ np.linalg.lstsq(hidden, joint, rcond=None)[0]
    fresh += 0.1 * rng.normal(size=(4000, 6))
    seen = Covariance.of(joint)
    moments = Moments.of(joint, Layers((Layer("x", 6),)))
    w, b = main_components(6, seen) if text == "whitened" else random_directions("x", 64, moments)

    def emd(a, b):
        low, high = (np.concatenate([a, b]) for _ in range(2))
        low, high = low.min(axis=0), high.max(axis=0)
        cdfs = [np.sort(values, axis=0) for values in (a, b)]
        return float((np.abs(cdfs[0] - cdfs[1]).mean(axis=0) / (high - low)).mean())

    def viewed(rows):
        return rows @ w.T + b

    assert emd(joint, shuffled) == 0
    floor = emd(viewed(joint), viewed(fresh))
    assert emd(viewed(joint), viewed(shuffled)) > 5 * floor


def test_random_directions_are_unit_fixed_and_of_their_layer():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 5)) * [1, 2, 3, 4, 0] + 7
    seen = Moments.of(rows, Layers((Layer("x", 5),)))
    w, b = random_directions("x", 64, seen)
    again, _ = random_directions("x", 64, seen)
    other, _ = random_directions("y", 64, seen)
    np.testing.assert_array_equal(w, again)
    assert not np.allclose(w, other)
    # A neuron that was constant is measured by its layer's usual spread.
    scale = np.array([*rows[:, :4].std(axis=0, ddof=1), np.median(rows[:, :4].std(axis=0, ddof=1))])
    np.testing.assert_allclose(np.linalg.norm(w * scale, axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose((rows @ w.T + b).mean(axis=0), 0, atol=1e-9)


def test_nothing_finite_still_gives_a_basis():
    empty = Covariance.of(np.full((3, 4), np.nan))
    w, b = main_components(4, empty)
    assert np.isfinite(w).all()
    assert np.isfinite(b).all()


def test_a_position_that_is_not_finite_is_counted_apart(base):
    view = view_of(base, View.parse("projected8"))
    ranges = calibrate(view, DIGESTS, ("x",), IMAGES.__getitem__, workers=1)
    bound = view.bound(ranges)
    values = torch.randn(2, base.layers.layers[0].n_neurons, 9)
    values[1, 0, 4] = torch.nan
    made = bound._make(0, values)
    assert made[1, :, 4].isnan().all()
    assert made.isnan().sum() == 8


def pooled_network(taps):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return Network("n", module, Preprocessing(12), taps, "d", "a", "l", "s")


def test_layers_without_a_grid_are_left_out_and_listed():
    extractor = probe(pooled_network(("0", "1", "2")), batch_size=4)
    assert extractor.positions == (Positions(100, grid=(10, 10)), Positions(4, grid=(2, 2)), Positions(1))
    view = view_of(extractor, View.parse("spatial"))
    assert view.made.left_out(extractor.layers) == ("2",)
    assert view_of(extractor, View.parse("spatial4")).made.left_out(extractor.layers) == ("1", "2")
    with raises(ExtractorError, "network.view-without-layers", view="spatial16", n=16):
        view_of(extractor, View.parse("spatial16"))


def test_class_tokens_are_no_part_of_any_cell():
    extractor = load_extractor("seeded_vit", batch_size=8)
    assert set(extractor.positions) == {Positions(65, 1, (8, 8))}
    assert set(load_extractor("seeded_vit", batch_size=8, tokens="patch").positions) == {Positions(64, 0, (8, 8))}
    with raises(ExtractorError, "network.view-without-layers", view="spatial"):
        view_of(load_extractor("seeded_vit", batch_size=8, tokens="cls"), View.parse("spatial"))


def test_layers_that_would_get_one_name_are_refused():
    layers = Layers((Layer("a", 2), Layer("a", 2)))
    with raises(ExtractorError, "network.view-names-clash", layers=["a.r0c0", "a.r0c1", "a.r1c0", "a.r1c1"]):
        layers_of_view(View.parse("spatial"), layers, [Positions(4, grid=(2, 2))] * 2, "n")


def test_maps_that_depend_on_the_batch_are_refused(base, monkeypatch):
    monkeypatch.setattr("dna_pipelines.extraction.views.view_extractor._rows_are_independent", lambda *_: False)
    basis = measure_basis([base], View.parse("projected"), DIGESTS[:8], IMAGES.__getitem__, workers=1)
    with raises(ExtractorError, "network.depends-on-batch", view="projected"):
        view_of(base, View.parse("projected")).with_basis(basis)


def test_everything_of_a_view_is_its_own_neurons(viewed):
    view, ranges = viewed
    assert Selection.everything(view.layers).weights.sum() == view.layers.n_neurons
    key = view.comparability_key(ranges)
    halves = [partial_of(view, ranges, some) for some in (DIGESTS[:12], DIGESTS[12:])]
    a, b = (Dna("x", key, view.layers, half.histogram, half.moments) for half in halves)
    summary = compare(a, b).summary(Selection.everything(view.layers))
    assert summary["n_neurons"] == view.layers.n_neurons
    assert summary["emd_bins"] > 0
    assert (summary["fd"] is None) == (view.view.kind == "spatial")
