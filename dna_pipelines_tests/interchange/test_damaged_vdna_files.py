"""VDNA files that are damaged or are none: refused, and never unpickled."""

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


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"type": "histogramm"}, "type: Input should be 'histogram', 'gaussian' or 'layer-gaussian'"),
        ({"type": "activation-ranges"}, "dna ranges import"),
        ({"neurons_list": {}}, "neurons_list"),
        ({"neurons_list": {"first": 0}}, "neurons_list.first"),
        ({"num_images": 0}, "num_images"),
        ({"feature_extractor_name": None}, "feature_extractor_name"),
        ({"distribution": {}}, "expected at least one bin"),
        ({"distribution": {"hist_nb_bins": 9}}, r"first is int32 of shape \(2, 4\)"),
        ({"neurons_list": {"first": 2}}, "arrays that nothing is said of: block/1.0"),
        ({"neurons_list": {"first": 2, "block/1.0": 3, "more": 1}}, "lacks the arrays more"),
    ],
)
def test_facts_that_cannot_be_are_refused(tmp_path, facts, said):
    with pytest.raises(InterchangeError, match=said):
        of_the_reference(tmp_path / "a.json", dna_of(), **facts)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("histogram", {"first": -np.ones((2, N_BINS), np.int32)}, "negative counts: more than 32 bits"),
        ("histogram", {"first": np.ones((2, N_BINS))}, "should be whole numbers"),
        ("histogram", {"first": np.ones((3, N_BINS), int)}, "should be whole numbers of shape"),
        ("histogram", {"first": None}, "lacks the arrays first"),
        ("histogram", {"more": np.ones(1)}, "nothing is said of: more"),
        ("gaussian", {"var-first": -np.ones(2)}, "negative variances"),
        ("gaussian", {"mu-first": np.ones(2, int)}, "floating-point"),
        ("gaussian", {"mu-first": None}, "lacks the arrays mu-first"),
        ("layer-gaussian", {"sigma-block/1.0": np.triu(np.ones((3, 3)))}, "not symmetric"),
        ("layer-gaussian", {"sigma-block/1.0": np.ones(3)}, "floating-point numbers of shape"),
    ],
)
def test_arrays_that_cannot_be_are_refused(tmp_path, kind, changes, said):
    write_vdna(tmp_path / "a.json", dna_of(), kind, 5)
    rewrite_arrays(tmp_path / "a.npz", **changes)
    with pytest.raises(InterchangeError, match=said):
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
    with pytest.raises(InterchangeError, match="damaged, or no NPZ file of numbers"):
        read_vdna(tmp_path / "a.json")


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InterchangeError, match=r"a\.json cannot be read: No such file"):
        read_vdna(tmp_path / "a.json")
    write_vdna(tmp_path / "a.json", dna_of(), "histogram", 5)
    (tmp_path / "a.npz").unlink()
    with pytest.raises(InterchangeError, match=r"a\.npz is missing"):
        read_vdna(tmp_path / "a.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_json_file_of_something_else_is_refused(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InterchangeError):
        read_vdna(tmp_path / "a.json")


@pytest.mark.parametrize("entry", [{}, {"comparability_key": {}}, {"comparability_key": {"layers": 3}}, 7])
def test_a_damaged_entry_of_ours_is_refused(tmp_path, entry):
    with pytest.raises(InterchangeError):
        of_the_reference(tmp_path / "a.json", dna_of(), dna_pipelines=entry)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extractor": "x"}, "feature_extractor_name: 'net' against 'x'"),
        ({"n_bins": 9}, "hist_nb_bins: 4 against 9"),
        ({"layers": [["first", 2, "neuron"]]}, "layer block/1.0: in neurons_list, not in the entry"),
        ({"layers": [["first", 3, "neuron"], ["block/1.0", 3, "neuron"]]}, "layer first: 2 neurons against 3"),
    ],
)
def test_an_entry_of_ours_must_agree_with_the_rest(tmp_path, changes, said):
    entry = {"comparability_key": {**key_of().parts, **changes}}
    with pytest.raises(InterchangeError, match=said):
        of_the_reference(tmp_path / "a.json", dna_of(), dna_pipelines=entry)


@given(data=st.data())
def test_damage_anywhere_is_an_error_or_harmless(tmp_path_factory, data):
    """Bytes are changed or cut off: what is read then is refused, or is a whole DNA."""
    folder = tmp_path_factory.mktemp("v")
    write_vdna(folder / "a.json", dna_of(), data.draw(st.sampled_from(["histogram", "gaussian"])), 5)
    path = folder / data.draw(st.sampled_from(["a.json", "a.npz"]))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
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
    with pytest.raises(InterchangeError, match="are no arrays"):
        read_vdna(tmp_path / "a.json")
    np.save(tmp_path / "plain.npy", np.ones(3))
    (tmp_path / "plain.npy").replace(tmp_path / "a.npz")
    with pytest.raises(InterchangeError, match="damaged"):
        read_vdna(tmp_path / "a.json")
