"""VDNA files that are damaged or are none: refused, and never unpickled."""

import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.dna import ImportedDna
from dna_pipelines.errors import InterchangeError
from dna_pipelines.interchange import read_vdna, write_vdna
from dna_pipelines_tests.interchange.vdna_files import (
    N_BINS,
    dna_of,
    key_of,
    of_the_reference,
    rewrite_arrays,
)
from dna_pipelines_tests.raising import raises


@pytest.mark.parametrize(
    ("entries", "code", "facts"),
    [
        ({"type": "histogramm"}, "file.no-vdna", {"keys": ["type"]}),
        ({"type": "activation-ranges"}, "file.ranges-not-dna", {}),
        ({"neurons_list": {}}, "file.no-vdna", {"keys": ["neurons_list"]}),
        ({"neurons_list": {"first": 0}}, "file.no-vdna", {"keys": ["neurons_list.first"]}),
        ({"num_images": 0}, "file.no-vdna", {"keys": ["num_images"]}),
        ({"feature_extractor_name": None}, "file.no-vdna", {"keys": ["feature_extractor_name"]}),
        ({"distribution": {}}, "file.no-vdna", {"keys": ["distribution.hist_nb_bins"]}),
        (
            {"distribution": {"hist_nb_bins": 9}},
            "file.array",
            {"array": "first", "dtype": "int32", "shape": [2, 4], "expected_shape": [2, 9]},
        ),
        ({"neurons_list": {"first": 2}}, "file.unknown-arrays", {"arrays": ["block/1.0"]}),
        ({"neurons_list": {"first": 2, "block/1.0": 3, "more": 1}}, "file.missing-arrays", {"arrays": ["more"]}),
    ],
)
def test_facts_that_cannot_be_are_refused(tmp_path, entries, code, facts):
    with raises(InterchangeError, code, **facts):
        of_the_reference(tmp_path / "a.json", dna_of(), **entries)


@pytest.mark.parametrize(
    ("kind", "array", "values", "facts"),
    [
        ("histogram", "first", -np.ones((2, N_BINS), np.int32), {"problem": "negative"}),
        ("histogram", "first", np.ones((2, N_BINS)), {"dtype": "float64", "expected": "integer"}),
        ("histogram", "first", np.ones((3, N_BINS), int), {"shape": [3, N_BINS], "expected_shape": [2, N_BINS]}),
        ("gaussian", "var-first", -np.ones(2), {"problem": "negative"}),
        ("gaussian", "mu-first", np.ones(2, int), {"dtype": "int64", "expected": "floating-point"}),
        ("layer-gaussian", "sigma-block/1.0", np.triu(np.ones((3, 3))), {"problem": "asymmetric"}),
        ("layer-gaussian", "sigma-block/1.0", np.ones(3), {"shape": [3], "expected_shape": [3, 3]}),
    ],
)
def test_arrays_that_cannot_be_are_refused(tmp_path, kind, array, values, facts):
    write_vdna(tmp_path / "a.json", dna_of(), kind, 5)
    rewrite_arrays(tmp_path / "a.npz", **{array: values})
    with raises(InterchangeError, "file.array", array=array, path=str(tmp_path / "a.npz"), **facts):
        read_vdna(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("kind", "changes", "code", "arrays"),
    [
        ("histogram", {"first": None}, "file.missing-arrays", ["first"]),
        ("gaussian", {"mu-first": None}, "file.missing-arrays", ["mu-first"]),
        ("histogram", {"more": np.ones(1)}, "file.unknown-arrays", ["more"]),
    ],
)
def test_missing_and_unknown_arrays_are_refused(tmp_path, kind, changes, code, arrays):
    write_vdna(tmp_path / "a.json", dna_of(), kind, 5)
    rewrite_arrays(tmp_path / "a.npz", **changes)
    with raises(InterchangeError, code, arrays=arrays, path=str(tmp_path / "a.npz")):
        read_vdna(tmp_path / "a.json")


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(tmp_path):
    write_vdna(tmp_path / "a.json", dna_of(), "gaussian", 5)
    trap = np.array([Trap(), Trap()], dtype=object)
    # The reference leaves such an array beside the numbers: it is not looked into.
    rewrite_arrays(tmp_path / "a.npz", first=trap)
    assert read_vdna(tmp_path / "a.json").moments
    write_vdna(tmp_path / "a.json", dna_of(), "gaussian", 5, force=True)
    rewrite_arrays(tmp_path / "a.npz", **{"mu-first": trap})
    with raises(InterchangeError, "file.no-npz"):
        read_vdna(tmp_path / "a.json")


def test_files_that_are_not_there_are_named(tmp_path):
    with raises(InterchangeError, "file.unreadable"):
        read_vdna(tmp_path / "a.json")
    write_vdna(tmp_path / "a.json", dna_of(), "histogram", 5)
    (tmp_path / "a.npz").unlink()
    with raises(InterchangeError, "file.missing"):
        read_vdna(tmp_path / "a.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_json_file_of_something_else_is_refused(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with raises(InterchangeError, "file.no-json", path=str(tmp_path / "a.json")):
        read_vdna(tmp_path / "a.json")


@pytest.mark.parametrize("entry", [{}, {"comparability_key": {}}, {"comparability_key": {"layers": 3}}, 7])
def test_a_damaged_entry_of_ours_is_refused(tmp_path, entry):
    with pytest.raises(InterchangeError):
        of_the_reference(tmp_path / "a.json", dna_of(), dna_pipelines=entry)


@pytest.mark.parametrize(
    ("changes", "subject", "values"),
    [
        ({"extractor": "x"}, "feature_extractor_name", ["'net'", "'x'", "dna_pipelines"]),
        ({"n_bins": 9}, "hist_nb_bins", ["4", "9", "dna_pipelines"]),
        ({"layers": [["first", 2, "neuron"]]}, "layer block/1.0", ["neurons_list", "dna_pipelines"]),
        ({"layers": [["first", 3, "neuron"], ["block/1.0", 3, "neuron"]]}, "layer first", ["2", "3"]),
    ],
)
def test_an_entry_of_ours_must_agree_with_the_rest(tmp_path, changes, subject, values):
    entry = {"comparability_key": {**key_of().parts, **changes}}
    with raises(InterchangeError, "file.inconsistent", path=str(tmp_path / "a.json")) as refused:
        of_the_reference(tmp_path / "a.json", dna_of(), dna_pipelines=entry)
    (difference,) = refused.value.facts["differences"]
    found, text = difference.split(": ")
    assert found == subject
    assert re.findall(r"'\w+'|\d+|neurons_list|dna_pipelines", text) == values


@given(data=st.data())
def test_damage_anywhere_is_an_error_or_harmless(tmp_path_factory, data):
    """Bytes are changed or cut off: what is read then is refused, or is a whole DNA."""
    folder = tmp_path_factory.mktemp("v")
    write_vdna(folder / "a.json", dna_of(), data.draw(st.sampled_from(["histogram", "gaussian"])), 5)
    path = folder / data.draw(st.sampled_from(["a.json", "a.npz"]))
    content = bytearray(path.read_bytes())
    for index in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[index] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]))
    try:
        found = read_vdna(folder / "a.json")
    except InterchangeError:
        return
    assert isinstance(found, ImportedDna)


def test_an_archive_of_something_else_is_refused(tmp_path):
    write_vdna(tmp_path / "a.json", dna_of(), "histogram", 5)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("first", "text")
        archive.writestr("block/1.0", "text")
    with raises(InterchangeError, "file.no-npz"):
        read_vdna(tmp_path / "a.json")
    np.save(tmp_path / "plain.npy", np.ones(3))
    (tmp_path / "plain.npy").replace(tmp_path / "a.npz")
    with raises(InterchangeError, "file.no-npz"):
        read_vdna(tmp_path / "a.json")
