"""Activation ranges in the layout that the reference publishes: there and back, its rule, and what is refused."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dna_pipelines.distributions import Binning, Layer, Layers
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import Incomparable, InterchangeError
from dna_pipelines.interchange import read_ranges, write_ranges
from dna_pipelines.interchange.ranges_file import reference_binning
from dna_pipelines_tests.raising import raises

LAYERS = Layers((Layer("first", 2), Layer("second", 1)))
MINIMA_OF_A = {"entry": "mins_per_neuron", "layer": "a"}
bounds = st.floats(-1e6, 1e6, width=32)


def ranges_of(low, high, layers=LAYERS):
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    binning = Binning.from_observed(low, high, layers)
    return ActivationRanges(layers, binning, low, high, np.linspace(0, 1, len(low)), 7, ("a", "b"))


def published(low, high, layers=LAYERS):
    named = {"mins_per_neuron": low, "maxs_per_neuron": high}
    return {
        key: {name: {str(k): v for k, v in enumerate(values[part])} for name, part in layers.slices.items()}
        for key, values in named.items()
    }


def read(path, value):
    path.write_text(json.dumps(value))
    return read_ranges(path)


@given(low=arrays(np.float32, 3, elements=bounds), width=arrays(np.float32, 3, elements=st.floats(0, 1e6, width=32)))
def test_ours_come_back_exactly(tmp_path_factory, low, width):
    path, ranges = tmp_path_factory.mktemp("r") / "ranges.json", ranges_of(low, low + width)
    write_ranges(path, ranges, "net")
    found = read_ranges(path).ranges(LAYERS, "net")
    assert found.id == ranges.id
    for name in ("minimum", "maximum", "centre"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ranges, name))
    assert (found.n_images, found.datasets) == (7, ("a", "b"))
    assert found.origin.startswith("ranges.json (sha256 ")


@given(low=arrays(np.float32, 3, elements=bounds), width=arrays(np.float32, 3, elements=st.floats(0, 1e6, width=32)))
def test_the_reference_makes_our_edges_of_what_we_write(tmp_path_factory, low, width):
    path, ranges = tmp_path_factory.mktemp("r") / "ranges.json", ranges_of(low, low + width)
    write_ranges(path, ranges, "net")
    facts = json.loads(path.read_text())
    facts.pop("dna_pipelines")
    found = read(path, facts).ranges(LAYERS, "net").binning
    # Its ranges are never narrower than its margin of 1e-8 on either side.
    ours, wide = ranges.binning, ranges.binning.hi - ranges.binning.lo >= 2e-8
    for theirs, edges in ((found.lo, ours.lo), (found.hi, ours.hi)):
        rounding = 1e-14 * np.maximum(np.abs(ours.lo), np.abs(ours.hi))
        assert (np.abs(theirs - edges) <= np.where(wide, rounding, 1e-8)).all()


def test_a_neuron_that_was_never_finite_comes_back(tmp_path):
    ranges = ranges_of([0, np.inf, 1], [1, -np.inf, 2])
    write_ranges(tmp_path / "r.json", ranges, "net")
    found = read_ranges(tmp_path / "r.json").ranges(LAYERS, "net")
    np.testing.assert_array_equal(found.minimum, ranges.minimum)
    np.testing.assert_array_equal(found.maximum, ranges.maximum)
    assert found.id == ranges.id


def test_the_references_rule_scales_the_signed_bounds(tmp_path):
    file = read(tmp_path / "r.json", published([-1.0, 2.0, -4.0], [1.0, 4.0, -2.0]))
    found = file.ranges(LAYERS, "net")
    # Widened about the centre the second would begin at 1.8 and the third would end at -1.8.
    np.testing.assert_allclose(found.binning.lo, [-1.2, 2.4, -4.8], atol=2e-8)
    np.testing.assert_allclose(found.binning.hi, [1.2, 4.8, -2.4], atol=2e-8)
    np.testing.assert_array_equal(found.minimum, [-1, 2, -4])
    np.testing.assert_allclose(found.centre, [0, 3.6, -3.6], atol=2e-8)
    assert (found.n_images, found.datasets) == (0, ())
    assert found.id == reference_binning(np.array([-1.0, 2, -4]), np.array([1.0, 4, -2])).id


def test_equal_bounds_give_the_references_narrow_range(tmp_path):
    found = read(tmp_path / "r.json", published([0.0, 5.0, 0.0], [0.0, 5.0, 1.0])).ranges(LAYERS, "net").binning
    np.testing.assert_allclose(found.hi - found.lo, [2e-8, 2e-8, 1.2], rtol=1e-6)
    np.testing.assert_allclose((found.hi + found.lo) / 2, [0, 6.0, 0.6], rtol=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "problem", "neurons"),
    [
        ([0.0, float("nan"), 0.0], [1.0, 1.0, 1.0], "not-finite", ["first:1"]),
        ([0.0, 0.0, 0.0], [1.0, 1.0, float("inf")], "not-finite", ["second:0"]),
        ([0.0, 0.0, -1e300], [1.0, 1.0, 1.0], "not-finite", ["second:0"]),
        ([2.0, 0.0, 2.0], [1.0, 1.0, 1.0], "reversed", ["first:0", "second:0"]),
        ([1e9, 0.0, 0.0], [1e9, 1.0, 1.0], "no-width", ["first:0"]),
    ],
)
def test_bounds_that_span_nothing_are_refused(tmp_path, low, high, problem, neurons):
    with raises(InterchangeError, "file.bounds", problem=problem, neurons=neurons, n_neurons=len(neurons)):
        read(tmp_path / "r.json", published(low, high))


def test_many_wrong_neurons_are_counted(tmp_path):
    layers = Layers((Layer("only", 9),))
    with raises(InterchangeError, "file.bounds", n_neurons=9, neurons=[f"only:{number}" for number in range(5)]):
        read(tmp_path / "r.json", published([1.0] * 9, [0.0] * 9, layers))


def test_every_difference_of_the_layers_is_listed(tmp_path):
    file = read(tmp_path / "r.json", published([0.0] * 3, [1.0] * 3))
    with raises(Incomparable, "compare.other-ranges", file=file.name, wanted_by="net") as refused:
        file.ranges(Layers((Layer("first", 5), Layer("third", 1))), "net")
    found = dict(line.split(": ") for line in refused.value.facts["differences"])
    assert found.keys() == {"layer first", "layer second", "layer third"}
    assert re.findall(r"\d+", found["layer first"]) == ["2", "5"]
    # The side that has the layer comes first.
    assert [re.findall(r"file|net", found[f"layer {name}"]) for name in ("second", "third")] == [
        ["file", "net"],
        ["net", "file"],
    ]
    with raises(Incomparable, "compare.other-ranges") as refused:
        file.ranges(Layers((LAYERS.layers[1], LAYERS.layers[0])), "net")
    (order,) = refused.value.facts["differences"]
    assert re.findall(r"first|second", order) == ["first", "second", "second", "first"]


@pytest.mark.parametrize(
    ("value", "code", "facts"),
    [
        ({}, "file.no-ranges", {}),
        ({"mins_per_neuron": {}, "maxs_per_neuron": {}}, "file.no-neurons", {}),
        ({"mins_per_neuron": [], "maxs_per_neuron": {}}, "file.no-layers", {"entry": "mins_per_neuron"}),
        ({"mins_per_neuron": {"a": [1]}, "maxs_per_neuron": {"a": [2]}}, "file.neuron-order", MINIMA_OF_A),
        ({"mins_per_neuron": {"a": {"1": 0}}, "maxs_per_neuron": {"a": {"1": 1}}}, "file.neuron-order", MINIMA_OF_A),
        ({"mins_per_neuron": {"a": {"0": "x"}}, "maxs_per_neuron": {"a": {"0": 1}}}, "file.not-a-number", MINIMA_OF_A),
        ({"mins_per_neuron": {"a": {"0": 10**400}}, "maxs_per_neuron": {}}, "file.not-a-number", MINIMA_OF_A),
        ({"mins_per_neuron": {"a": {"0": True}}, "maxs_per_neuron": {"a": {"0": 1}}}, "file.not-a-number", MINIMA_OF_A),
        ({"mins_per_neuron": {"a": {"0": None}}, "maxs_per_neuron": {"a": {"0": 1}}}, "file.not-a-number", MINIMA_OF_A),
        ({"type": "activation-ranges"}, "file.no-layers", {"entry": "neurons_list"}),
        ({"type": "activation-ranges", "neurons_list": {"a": 1}}, "file.missing", {}),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, value, code, facts):
    path = tmp_path / "r.json"
    named = path.with_suffix(".npz") if code == "file.missing" else path
    with raises(InterchangeError, code, path=str(named), **facts):
        read(path, value)


def test_minima_and_maxima_have_the_same_layers(tmp_path):
    with raises(InterchangeError, "file.inconsistent") as refused:
        read(tmp_path / "r.json", {"mins_per_neuron": {"a": {"0": 0}}, "maxs_per_neuron": {"b": {"0": 1}}})
    differences = refused.value.facts["differences"]
    assert [re.findall(r"layer (\w+)|(minima|maxima)", line) for line in differences] == [
        [("a", ""), ("", "minima"), ("", "maxima")],
        [("b", ""), ("", "maxima"), ("", "minima")],
    ]


def test_neurons_in_another_order_are_refused(tmp_path):
    """The reference would take them by their position, whatever their numbers."""
    wrong = {"a": {"0": 0, "1": 0, "10": 0, "2": 0}}
    with raises(InterchangeError, "file.neuron-order", **MINIMA_OF_A):
        read(tmp_path / "r.json", {"mins_per_neuron": wrong, "maxs_per_neuron": wrong})


def test_bounds_that_were_changed_under_our_entry_are_refused(tmp_path):
    write_ranges(tmp_path / "r.json", ranges_of([0, 0, 0], [1, 2, 3]), "net")
    facts = json.loads((tmp_path / "r.json").read_text())
    facts["maxs_per_neuron"]["first"]["0"] = 9.0
    with raises(InterchangeError, "file.edges-differ"):
        read(tmp_path / "r.json", facts)
    facts["dna_pipelines"]["lo"] = [0]
    with raises(InterchangeError, "file.own-entry"):
        read(tmp_path / "r.json", facts)
    facts.pop("dna_pipelines")
    assert read(tmp_path / "r.json", facts).maximum[0] == 9.0
