"""Files of the reference implementation (vdna 0.1.1), read by dna_pipelines, and the reverse.

`make_vdna_files.py` made everything in `vdna_files/` with the reference itself and says what is what.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from dna_pipelines.comparison import compare
from dna_pipelines.distributions import Binning
from dna_pipelines.interchange import read_ranges, read_vdna, with_ranges, write_vdna
from dna_pipelines.interchange.vdna_facts import TYPES
from dna_pipelines_tests.golden.make_vdna_files import ARRAYS, FILES, LAYERS, N_IMAGES, by_us, wide

DISTANCES = json.loads((FILES / "distances.json").read_text())
PAIRS = {"theirs": ("a", "b"), "ours": ("ours-a", "ours-b"), "mixed": ("a", "ours-b")}
RANGES = read_ranges(FILES / "activation_ranges.json")


def compared(pair, kind):
    return compare(*(with_ranges(read_vdna(FILES / f"{side}-{kind}.json"), RANGES) for side in PAIRS[pair]))


def expected(pair, metric):
    return np.concatenate(list(DISTANCES[pair][metric].values()))


@pytest.mark.parametrize("pair", PAIRS)
def test_emd_is_that_of_the_reference(pair):
    found = compared(pair, "histogram")
    np.testing.assert_allclose(found.emd_bins, expected(pair, "emd"), rtol=1e-12)
    assert found.emd_bins.mean() == pytest.approx(DISTANCES[pair]["emd_mean"], rel=1e-12)
    assert np.isnan(found.nfd).all()
    assert found.fd == {}


@pytest.mark.parametrize("pair", PAIRS)
def test_nfd_is_that_of_the_reference(pair):
    found = compared(pair, "gaussian")
    # The reference computes it in float32.
    np.testing.assert_allclose(found.nfd, expected(pair, "nfd"), rtol=5e-6)
    assert found.nfd.mean() == pytest.approx(DISTANCES[pair]["nfd_mean"], rel=1e-6)
    assert np.isnan(found.emd_bins).all()
    assert (found.fd, found.n_bins) == ({}, None)


@pytest.mark.parametrize("pair", PAIRS)
def test_fd_is_that_of_the_reference(pair):
    found = compared(pair, "layer-gaussian")
    assert found.fd == pytest.approx(DISTANCES[pair]["fd"], rel=1e-9)
    # The reference takes the mean over layers in float32.
    assert np.mean(list(found.fd.values())) == pytest.approx(DISTANCES[pair]["fd_mean"], rel=1e-6)
    assert found.nfd.mean() == pytest.approx(DISTANCES[pair]["nfd_of_layer_gaussian_mean"], rel=1e-12)


def test_counts_of_more_than_32_bits_give_the_references_emd_too():
    found = compare(read_vdna(FILES / "wide-histogram.json"), read_vdna(FILES / "ours-b-histogram.json"))
    assert found.emd_bins.mean() == pytest.approx(DISTANCES["wide"]["emd_mean"], rel=1e-12)
    np.testing.assert_array_equal(read_vdna(FILES / "wide-histogram.json").counts, wide().counts)


def test_ours_and_theirs_of_the_same_activations_are_no_distance_apart():
    for side in "ab":
        theirs, ours = with_ranges(read_vdna(FILES / f"{side}-histogram.json"), RANGES), by_us(side)
        np.testing.assert_array_equal(theirs.counts, ours.counts)
        assert (compare(theirs, ours).emd_bins == 0).all()
        found = compare(read_vdna(FILES / f"{side}-layer-gaussian.json"), ours)
        # Averages of positions are taken in float32 there.
        assert max(found.fd.values()) < 1e-5
        assert np.nanmax(found.nfd) < 1e-10


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("side", ["a", "b"])
def test_what_we_write_is_still_what_the_reference_has_read(side, kind, tmp_path):
    """The reference loaded the golden files, so that it can load ours as long as they are equal."""
    write_vdna(tmp_path / "new.json", by_us(side), kind, N_IMAGES)
    golden = FILES / f"ours-{side}-{kind}"
    with np.load(tmp_path / "new.npz") as new, np.load(golden.with_suffix(".npz")) as old:
        assert new.files == old.files
        for name in new.files:
            assert new[name].dtype == old[name].dtype
            np.testing.assert_allclose(new[name], old[name], rtol=1e-6, atol=1e-12)
    new, old = (json.loads(path.read_text()) for path in (tmp_path / "new.json", golden.with_suffix(".json")))
    for facts in (new, old):
        facts["dna_pipelines"].pop("writer")
    assert new == old


@pytest.mark.parametrize("kind", TYPES)
def test_we_write_the_types_and_entries_that_the_reference_writes(kind):
    ours, theirs = (json.loads((FILES / f"{side}a-{kind}.json").read_text()) for side in ("ours-", ""))
    # Of its settings it takes its own defaults where we name none; the time it never reads.
    for facts in (ours, theirs):
        for left in ("data_settings", "extraction_settings", "time_of_compute", "dna_pipelines"):
            facts.pop(left, None)
    assert ours == theirs
    with np.load(FILES / f"ours-a-{kind}.npz") as ours, np.load(FILES / f"a-{kind}.npz") as theirs:
        names = [name for name in theirs.files if kind == "histogram" or name not in LAYERS.names]
        assert sorted(names) == sorted(ours.files)
        assert [ours[name].dtype for name in names] == [theirs[name].dtype for name in names]


def test_published_ranges_give_the_references_edges():
    """The golden counts were made with edges at 1.2 times the bounds."""
    low, high = (np.concatenate([ARRAYS[f"{what}_{name}"] for name in LAYERS.names]) for what in ("lo", "hi"))
    found = RANGES.ranges(LAYERS, "golden").binning
    np.testing.assert_allclose(found.lo, 1.2 * low, rtol=1e-12, atol=1.1e-8)
    np.testing.assert_allclose(found.hi, 1.2 * high, rtol=1e-12, atol=1.1e-8)
    assert found.id != Binning.from_observed(low, high, LAYERS).id


def test_ranges_of_the_type_activation_ranges_are_the_extremes_of_the_activations():
    found = read_ranges(FILES / "ranges.json")
    for name, part in LAYERS.slices.items():
        values = ARRAYS[f"act_a_{name}"]
        np.testing.assert_array_equal(found.minimum[part], values.min(axis=(0, 2, 3)))
        np.testing.assert_array_equal(found.maximum[part], values.max(axis=(0, 2, 3)))


@pytest.mark.campaign
@pytest.mark.skipif(find_spec("vdna") is None, reason="needs pip install --no-deps vdna==0.1.1")
def test_the_reference_itself_reads_what_we_write(tmp_path):
    # In a process of its own: it puts empty modules in the place of packages.
    command = [sys.executable, "-m", "dna_pipelines_tests.golden.make_vdna_files", str(tmp_path)]
    subprocess.run(command, check=True)
    found = json.loads((tmp_path / "distances.json").read_text())
    for pair in PAIRS:
        for metric in ("emd", "nfd", "fd"):
            for name, values in DISTANCES[pair][metric].items():
                np.testing.assert_allclose(found[pair][metric][name], values, rtol=5e-6)
