"""Writing and reading VDNA files: round trips, what is refused, and what may be compared."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dna_pipelines.comparison import Selection, compare
from dna_pipelines.distributions import Covariance, Layer, Layers, Moments
from dna_pipelines.dna import Dna
from dna_pipelines.errors import Incomparable, InterchangeError, NothingToCompare
from dna_pipelines.interchange import RangesFile, is_vdna_path, read_vdna, with_ranges, write_vdna
from dna_pipelines.interchange.ranges_file import reference_binning
from dna_pipelines_tests.interchange.vdna_files import (
    LAYERS,
    N_BINS,
    dna_of,
    of_the_reference,
    rewrite_arrays,
    written,
)
from dna_pipelines_tests.raising import raises

layer_names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


@st.composite
def any_layers(draw):
    names = draw(st.lists(layer_names, min_size=1, max_size=4, unique=True))
    return Layers(tuple(Layer(name, draw(st.integers(1, 4))) for name in names))


@given(layers=any_layers(), data=st.data())
def test_counts_come_back_bit_for_bit(tmp_path_factory, layers, data):
    highest = data.draw(st.sampled_from([9, 2**31 - 1, 2**31, 2**40, 2**63 - 1]))
    shape = (layers.n_neurons, data.draw(st.integers(1, 6)))
    counts = data.draw(arrays(np.uint64, shape, elements=st.integers(0, highest)))
    dna = dna_of(counts, layers, n_bins=shape[1])
    found = written(tmp_path_factory.mktemp("v") / "a.json", dna)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.counts.dtype == np.uint64
    assert (found.layers, found.key.id, found.n_images, found.moments) == (layers, dna.key.id, 5, None)


@pytest.mark.parametrize(("highest", "width"), [(2**31 - 1, np.int32), (2**31, np.int64)])
def test_counts_are_32_bits_wide_as_the_references_unless_they_need_more(tmp_path, highest, width):
    written(tmp_path / "a.json", dna_of(np.full((5, N_BINS), highest)))
    with np.load(tmp_path / "a.npz") as found:
        assert {array.dtype for array in found.values()} == {np.dtype(width)}


def test_counts_beyond_63_bits_are_refused(tmp_path):
    with raises(InterchangeError, "file.too-large-counts"):
        write_vdna(tmp_path / "a.json", dna_of(np.full((5, N_BINS), 2**63, np.uint64)), "histogram", 5)
    assert list(tmp_path.iterdir()) == []


@given(layers=any_layers(), seed=st.integers(0, 100))
def test_gaussians_come_back_in_the_precision_of_the_file(tmp_path_factory, layers, seed):
    dna, folder = dna_of(layers=layers, seed=seed), tmp_path_factory.mktemp("v")
    gaussian = written(folder / "g.json", dna, "gaussian").moments
    np.testing.assert_array_equal(gaussian.mean, dna.moments.mean.astype(np.float32))
    np.testing.assert_allclose(gaussian.variance, dna.moments.variance.astype(np.float32), rtol=1e-15)
    full = written(folder / "l.json", dna, "layer-gaussian").moments
    last = layers.names[-1]
    np.testing.assert_array_equal(full.covariances[last].mean, dna.moments.covariances[last].mean)
    ours, theirs = dna.moments.covariances[last].covariance, full.covariances[last].covariance
    np.testing.assert_allclose(theirs, ours, rtol=1e-15)


def test_equal_dnas_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_vdna(tmp_path / f"{name}.json", dna_of(), "histogram", 5)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_layer_gaussian_has_the_layers_with_a_covariance_and_the_others_stay_undefined(tmp_path):
    a, b = dna_of(seed=1), dna_of(seed=2)
    assert write_vdna(tmp_path / "a.json", a, "layer-gaussian", 5) == ["block/1.0"]
    found = compare(read_vdna(tmp_path / "a.json"), b)
    np.testing.assert_array_equal(np.isnan(found.nfd), [True, True, False, False, False])
    assert found.fd == pytest.approx(compare(a, b).fd)
    summary = found.summary(Selection.everything(LAYERS))
    assert summary["nfd"] == pytest.approx(np.mean(compare(a, b).nfd[2:]))
    assert [summary["n_neurons"], *(layer["n_neurons"] for layer in summary["layers"])] == [3, 0, 3]
    assert [layer["fd"] for layer in summary["layers"]] == [None, pytest.approx(compare(a, b).fd["block/1.0"])]


def test_what_a_file_does_not_have_is_absent(tmp_path):
    summary = compare(written(tmp_path / "a.json", dna_of(seed=1), "gaussian"), dna_of(seed=2)).summary(
        Selection.everything(LAYERS)
    )
    assert np.isnan(summary["emd_bins"])
    assert np.isnan(summary["emd_range"])
    assert summary["fd"] is None
    assert summary["nfd"] > 0
    assert {layer["top_neuron"] for layer in summary["layers"]} == {None}


def test_an_imported_dna_has_nothing_that_significance_would_need(tmp_path):
    found = written(tmp_path / "a.json", dna_of())
    assert not isinstance(found, Dna)
    assert not hasattr(found, "blocks")
    assert not hasattr(found, "id")


def test_a_variance_takes_two_images(tmp_path):
    for kind in ("gaussian", "layer-gaussian"):
        with raises(NothingToCompare, "compare.one-image"):
            write_vdna(tmp_path / "a.json", dna_of(), kind, 1)
    dna = dna_of()
    bare = Dna(dna.id, dna.key, dna.layers, dna.histogram, Moments.empty(5), "bare")
    with raises(NothingToCompare, "compare.no-covariance"):
        write_vdna(tmp_path / "a.json", bare, "layer-gaussian", 5)


def test_virtual_neurons_are_not_written(tmp_path):
    layers = Layers((*LAYERS.layers, Layer("sketch", 4, "projection")))
    dna = dna_of(layers=layers)
    assert write_vdna(tmp_path / "a.json", dna, "histogram", 5) == LAYERS.names
    found = read_vdna(tmp_path / "a.json")
    assert found.layers == layers
    np.testing.assert_array_equal(found.counts[:5], dna.counts[:5])
    assert not found.counts[5:].any()


def test_nothing_is_written_over_unless_forced(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"something else")
    with raises(InterchangeError, "file.exists", path=str(tmp_path / "a.npz")):
        write_vdna(tmp_path / "a.json", dna_of(), "histogram", 5)
    assert (tmp_path / "a.npz").read_bytes() == b"something else"
    assert not (tmp_path / "a.json").exists()
    write_vdna(tmp_path / "a.json", dna_of(), "histogram", 5, force=True)
    np.testing.assert_array_equal(read_vdna(tmp_path / "a.json").counts, dna_of().counts)


@pytest.mark.parametrize("name", ["a", "a.npz", "a.json.gz"])
def test_a_file_to_write_ends_in_json(tmp_path, name):
    with raises(InterchangeError, "file.suffix"):
        write_vdna(tmp_path / name, dna_of(), "histogram", 5)
    assert not is_vdna_path(name)


# What may be compared


def test_a_file_of_ours_is_as_good_as_the_dna(tmp_path):
    a, b = dna_of(seed=1), dna_of(seed=2)
    found = compare(written(tmp_path / "a.json", a), b)
    np.testing.assert_array_equal(found.emd_bins, compare(a, b).emd_bins)


def differences(a, b):
    """By its subject (a part of the key, or a layer), each difference for which a comparison is refused."""
    with raises(Incomparable, "compare.different-keys", a=a.label, b=b.label) as refused:
        compare(a, b)
    with raises(Incomparable, "compare.different-keys", a=b.label, b=a.label):
        compare(b, a)
    return dict(line.split(": ", 1) for line in refused.value.facts["differences"])


def values(difference):
    """The quoted texts and the numbers in a difference."""
    return [text or number for text, number in re.findall(r"'([^']*)'|(\d+(?:\.\d+)?)", difference)]


def test_every_difference_is_listed(tmp_path):
    other = Layers((Layer("first", 7), Layer("third", 1)))
    theirs = of_the_reference(tmp_path / "a.json", dna_of(layers=other, extractor="another"))
    ours = dna_of()
    found = differences(theirs, ours)
    assert found.keys() == {"extractor", "layer first", "layer third", "layer block/1.0", "ranges"}
    assert values(found["extractor"]) == ["another", "net"]
    assert values(found["layer first"]) == ["7", "2"]
    # The side that has the layer comes first.
    assert found["layer third"].index(theirs.label) < found["layer third"].index(ours.label)
    assert found["layer block/1.0"].index(ours.label) < found["layer block/1.0"].index(theirs.label)
    assert theirs.label in found["ranges"]
    assert "--ranges" in found["ranges"]


def test_layers_in_another_order_are_a_difference(tmp_path):
    turned = Layers((LAYERS.layers[1], LAYERS.layers[0]))
    theirs = of_the_reference(tmp_path / "a.json", dna_of(layers=turned), "gaussian")
    found = differences(theirs, dna_of())
    assert found.keys() == {"layers"}
    assert re.findall(r"first|block/1\.0", found["layers"]) == ["block/1.0", "first", "first", "block/1.0"]


def test_histograms_need_equal_bins_and_gaussians_do_not(tmp_path):
    theirs = of_the_reference(tmp_path / "a.json", dna_of(np.ones((5, 8))))
    found = differences(theirs, dna_of())
    assert found.keys() == {"n_bins", "ranges"}
    assert values(found["n_bins"]) == ["8", "4"]
    of_other_ranges = dna_of(seed=3, ranges="others")
    found = differences(written(tmp_path / "b.json", of_other_ranges), dna_of())
    assert {subject: values(text) for subject, text in found.items()} == {"ranges": ["others", "r"]}
    assert compare(written(tmp_path / "c.json", of_other_ranges, "gaussian"), dna_of()).nfd.all()


def test_other_weights_are_a_difference_where_a_file_states_them(tmp_path):
    of_other_weights = dna_of(weights="v")
    found = differences(written(tmp_path / "a.json", of_other_weights, "gaussian"), dna_of())
    assert {subject: values(text) for subject, text in found.items()} == {"weights": ["v", "w"]}
    assert compare(of_the_reference(tmp_path / "b.json", of_other_weights, "gaussian"), dna_of())


def test_two_files_of_the_reference_are_compared_as_it_does(tmp_path):
    a, b = (of_the_reference(tmp_path / f"{seed}.json", dna_of(seed=seed)) for seed in (1, 2))
    np.testing.assert_array_equal(compare(a, b).emd_bins, compare(dna_of(seed=1), dna_of(seed=2)).emd_bins)
    scaled = {"extraction_settings": {"range_scale_for_norm_params": 1.5}}
    found = differences(a, of_the_reference(tmp_path / "c.json", dna_of(), **scaled))
    assert {subject: values(text) for subject, text in found.items()} == {"range_scale": ["1.2", "1.5"]}


def test_a_histogram_and_a_gaussian_have_nothing_in_common(tmp_path):
    a, b = written(tmp_path / "a.json", dna_of()), written(tmp_path / "b.json", dna_of(), "gaussian")
    for pair in ((a, b), (b, a)):
        with raises(Incomparable, "compare.no-common-measure", a=b.label, b=a.label):
            compare(*pair)


def test_ranges_that_the_user_names_are_compared_with_ours(tmp_path):
    low, high = -np.arange(1.0, 6.0), np.arange(1.0, 6.0)
    file = RangesFile("ranges.json", LAYERS, low, high, None)
    ours = dna_of(ranges=reference_binning(low, high, N_BINS).id)
    theirs = of_the_reference(tmp_path / "a.json", dna_of(seed=1))
    assert "--ranges" in differences(theirs, ours)["ranges"]
    assert compare(with_ranges(theirs, file), ours).emd_bins.any()
    others = with_ranges(theirs, RangesFile("others.json", LAYERS, low * 2, high, None))
    ids = [one.key.parts["ranges"] for one in (others, ours)]
    assert {subject: values(text) for subject, text in differences(others, ours).items()} == {"ranges": ids}
    # A file that was scaled otherwise has other edges by the same bounds.
    scaled = {"extraction_settings": {"range_scale_for_norm_params": 1.5}}
    by_another = of_the_reference(tmp_path / "b.json", dna_of(seed=1), **scaled)
    assert "ranges" in differences(with_ranges(by_another, file), ours)
    cut = of_the_reference(tmp_path / "c.json", dna_of(seed=1), extraction_settings={"hist_range": [0.0, 1.0]})
    with raises(Incomparable, "compare.binning", file=cut.label, hist_range=[0.0, 1.0]):
        with_ranges(cut, file)
    wrong = RangesFile("few.json", Layers((Layer("first", 2),)), low[:2], high[:2], None)
    with raises(Incomparable, "compare.other-ranges", file="few.json", wanted_by=theirs.label) as refused:
        with_ranges(theirs, wrong)
    assert [line.split(": ")[0] for line in refused.value.facts["differences"]] == ["layer block/1.0"]


def test_a_file_that_says_its_ranges_is_believed(tmp_path):
    found = written(tmp_path / "a.json", dna_of())
    file = RangesFile("ranges.json", LAYERS, -np.ones(5), np.ones(5), None)
    assert with_ranges(found, file) is found
    gaussian = of_the_reference(tmp_path / "g.json", dna_of(), "gaussian")
    assert with_ranges(gaussian, file) is gaussian


def test_values_that_are_not_finite_make_a_layer_undefined(tmp_path):
    """The reference keeps NaN where one activation was NaN."""
    write_vdna(tmp_path / "a.json", dna_of(), "layer-gaussian", 5)
    rewrite_arrays(tmp_path / "a.npz", **{"sigma-block/1.0": np.full((3, 3), np.nan)})
    found = compare(read_vdna(tmp_path / "a.json"), dna_of(seed=1))
    assert np.isnan(found.fd["block/1.0"])
    assert np.isnan(found.nfd).all()


def test_one_image_has_no_variance(tmp_path):
    """The reference calls it 0, and so its NFD something."""
    of_the_reference(tmp_path / "a.json", dna_of(), "gaussian")
    found = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**found, "num_images": 1}))
    assert np.isnan(compare(read_vdna(tmp_path / "a.json"), dna_of(seed=1)).nfd).all()


def test_covariances_are_those_of_the_layer(tmp_path):
    full = Covariance.of(np.random.default_rng(0).normal(size=(9, 3)))
    dna = dna_of()
    moments = Moments(dna.moments.n_images, dna.moments.mean, dna.moments.m2, {"block/1.0": full})
    write_vdna(tmp_path / "a.json", Dna("x", dna.key, LAYERS, dna.histogram, moments), "layer-gaussian", 9)
    found = read_vdna(tmp_path / "a.json").moments.covariances["block/1.0"]
    assert found.n_images == 9
    np.testing.assert_allclose(found.comoment, full.comoment, rtol=1e-14)
