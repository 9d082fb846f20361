"""Significance tests of pairs: versions that share images, and stored results."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from dna_pipelines.analysis.compare import compare_pair, significance_of
from dna_pipelines.analysis.selections.stored import save_selection
from dna_pipelines.analysis.significance import block_counts, design
from dna_pipelines.analysis.significance.all_pairs import matrix_significance
from dna_pipelines.analysis.significance.measurements import LakeMeasurements
from dna_pipelines.analysis.significance.pair import pair_significance
from dna_pipelines.comparison import Selection, significance
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_ranges
from dna_pipelines_tests.analysis.significance.conftest import result_of
from dna_pipelines_tests.toy import bring_up_to_date, toy_project, write_image

N_OLD, N_ADDED = 40, 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`a` of 40 images, to which 12 images of another kind are added; `twin` of other images of the first kind."""
    root = tmp_path_factory.mktemp("made")
    # Images of one number modulo 15 have one look.
    first = {f"i{number}x.png": 15 * number for number in range(N_OLD)}
    twin = {f"t{number}x.png": 15 * number for number in range(1000, 1000 + N_OLD)}
    project = toy_project(root, {"a": first, "twin": twin}, "shard_size: 16\n", "calibrate_on: [a]")
    bring_up_to_date(project)
    for number in range(N_ADDED):
        write_image(root / "images" / "a", f"new{number}x.png", 15 * number + 14)
    bring_up_to_date(project)
    return root


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def test_two_samples_of_one_kind_do_not_differ_significantly(project):
    result = result_of(project, "a@1", "twin")
    assert (result.n_images_a, result.n_images_b, result.n_shared, result.sampling_unit) == (N_OLD, N_OLD, 0, "image")
    assert result.statistics.p > 0.05
    assert result.significant is False


def test_of_a_version_that_grew_the_added_images_are_tested(project):
    there, back = result_of(project, "a@1", "a"), result_of(project, "a", "a@1")
    for result in (there, back):
        assert (result.a, result.b) == ("a without a@1", "a@1")
        assert (result.n_images_a, result.n_images_b, result.n_shared) == (N_ADDED, N_OLD, N_OLD)
        assert result.statistics.p < 0.01
    assert there.statistics.p == back.statistics.p
    np.testing.assert_array_equal(there.statistics.neuron_p, back.statistics.neuron_p)


def test_the_counts_of_added_images_are_those_of_the_images_alone(project):
    """The difference of two DNAs against a dataset that holds the added images and nothing else."""
    root = project.root
    for number in range(N_ADDED):
        write_image(root / "images" / "added", f"{number}x.png", 15 * number + 14)
    file = project.file.path
    file.write_text(file.read_text() + "  - name: added\n    uri: images/added\n    shard_size: 16\n")
    bring_up_to_date(project)
    by_difference, alone = result_of(project, "a@1", "a"), result_of(project, "added", "a@1")
    assert by_difference.statistics.emd_bins == alone.statistics.emd_bins
    assert by_difference.statistics.p == alone.statistics.p


def test_dnas_of_different_compute_keys_are_not_subtracted(project, monkeypatch):
    """Their counts may differ in a few bins, so their difference would not be the counts of any images."""
    new, old = resolve_image_set(project, "a"), resolve_image_set(project, "a@1")
    key = project.lake.fingerprints.extractor("toy").comparability_key
    arguments = project, new.without(old), new, old, key
    difference = block_counts.counts_of_remainder(*arguments)
    assert [stored.compute_key for stored in (*difference.plus, *difference.minus)] == [None, None]
    monkeypatch.setattr(block_counts, "_computed_by", lambda _, dna: {dna.id})
    shards = block_counts.counts_of_remainder(*arguments)
    assert shards.minus == ()
    assert all(stored.compute_key for stored in shards.plus)
    np.testing.assert_array_equal(shards.histogram(), difference.histogram())


def test_of_a_version_that_shrank_the_removed_images_are_tested(project):
    for number in range(N_ADDED):
        (project.root / "images" / "a" / f"new{number}x.png").unlink()
    bring_up_to_date(project)
    result = result_of(project, "a@2", "a")
    assert result.a == "a@2 without a"
    assert result.n_images_a == N_ADDED
    assert result.statistics.p < 0.01


def test_with_added_and_removed_images_the_shards_of_the_added_ones_are_summed(project):
    (project.root / "images" / "a" / "i0x.png").unlink()
    bring_up_to_date(project)
    result = result_of(project, "a@1", "a")
    assert (result.a, result.n_images_a, result.n_shared) == ("a without a@1", N_ADDED, N_OLD - 1)
    assert result.statistics.p < 0.01
    assert (result.also.a, result.also.n_images_a) == ("a@1 without a", 1)
    assert result.also.statistics.p > 0.05


@pytest.fixture
def swapped(tmp_path):
    """`both` of ordinary and odd images, whose odd images are then replaced by ordinary ones; `removed` of the odd ones."""
    ordinary = {f"i{number}x.png": 15 * number for number in range(N_OLD)}
    odd = {f"u{number}x.png": 15 * number + 14 for number in range(N_ADDED)}
    project = toy_project(tmp_path, {"both": ordinary | odd, "removed": odd}, "", "calibrate_on: [both]")
    bring_up_to_date(project)
    for number in range(N_ADDED):
        (tmp_path / "images" / "both" / f"u{number}x.png").unlink()
        write_image(tmp_path / "images" / "both", f"more{number}x.png", 15 * (number + 500))
    bring_up_to_date(project)
    return project


def test_added_and_removed_images_are_both_tested_and_p_is_corrected_for_two_tests(swapped):
    there, back = result_of(swapped, "both@1", "both"), result_of(swapped, "both", "both@1")
    assert (there.a, there.b, there.remainder_of) == ("both@1 without both", "both", "both@1")
    assert (there.also.a, there.also.b, there.n_shared) == ("both without both@1", "both@1", N_OLD)
    assert there.statistics.p < 0.05 < there.also.statistics.p
    rows = swapped.catalog.rows("FROM significance")
    stored = {row[label]: row for row in rows for label in ("label_a", "label_b")}
    for result in (there, there.also):
        for name in ("p", "p_tail", "p_mean", "p_strongest"):
            assert getattr(result.statistics, name) == stored[result.a][name]
        assert result.significant == stored[result.a]["significant"]
    assert {row["n_tests"] for row in rows} == {2}
    assert (back.a, back.statistics.p, back.also.a) == (there.a, there.statistics.p, there.also.a)
    np.testing.assert_array_equal(back.statistics.neuron_p, there.statistics.neuron_p)
    assert there.to_json()["also"]["a"] == "both without both@1"


def test_the_counts_of_removed_images_are_those_of_the_images_alone(swapped):
    by_difference, alone = result_of(swapped, "both@1", "both"), result_of(swapped, "removed", "both")
    assert by_difference.statistics.emd_bins == alone.statistics.emd_bins
    for name in ("p", "p_tail", "p_mean", "p_strongest"):
        assert getattr(by_difference.statistics, name) == min(1, 2 * getattr(alone.statistics, name))
    np.testing.assert_array_equal(by_difference.statistics.neuron_p, np.minimum(1, 2 * alone.statistics.neuron_p))
    for corrected, single in zip(by_difference.statistics.layers, alone.statistics.layers, strict=True):
        assert corrected.p == min(1, 2 * single.p)


class _Mixed(LakeMeasurements):
    """Measurements in which removed images share shards with others."""

    def counts_of_remainder(self, remainder, large, small):
        if remainder.label == "both@1 without both":
            return NotTested("significance.counts-not-separable", "mixed")
        return super().counts_of_remainder(remainder, large, small)


def test_images_whose_counts_are_not_separable_are_not_tested_and_need_no_correction(swapped):
    measured = _Mixed(swapped, swapped.lake.fingerprints.extractor("toy").comparability_key, "toy")
    sides = (resolve_image_set(swapped, name) for name in ("both@1", "both"))
    result = pair_significance(measured, *sides, Selection.everything(used_ranges(swapped, "toy").layers), 299)
    assert (result.a, result.statistics is None) == ("both without both@1", False)
    assert (result.also.a, result.also.not_tested.code) == ("both@1 without both", "significance.counts-not-separable")
    assert [row["n_tests"] for row in swapped.catalog.rows("FROM significance")] == [1]


def test_a_missing_manifest_affects_only_comparisons_of_its_version(swapped):
    for number in range(3):
        write_image(swapped.root / "images" / "both", f"again{number}x.png", 15 * (number + 900))
    bring_up_to_date(swapped)
    middle = swapped.lake.versions.commit("both", 2)
    swapped.lake.layout.manifest("both", middle.manifest_id).unlink()
    result = result_of(swapped, "both@1", "both")
    assert result.remainder_of == "both@1"
    assert result.statistics.p < 0.05


@pytest.mark.parametrize("folder", ["a-copies", "z-copies"])
def test_copies_in_another_group_are_matched_with_their_own_group_first(tmp_path, folder):
    """Whatever the names of the folders, the permuted images lie in the blocks that are counted."""
    clips = {f"m{number // 4}/{number}.png": 15 * number for number in range(60)}
    project = toy_project(tmp_path, {"clips": clips}, "group_by: folder", "calibrate_on: [clips]")
    bring_up_to_date(project)
    for number in range(40):
        write_image(tmp_path / "images" / "clips" / f"{folder}{number // 4}", f"{number}.png", 15 * number)
    bring_up_to_date(project)
    now, before = (resolve_image_set(project, name) for name in ("clips", "clips@1"))
    key = project.lake.fingerprints.extractor("toy").comparability_key
    measured = LakeMeasurements(project, key, "toy")
    (result,) = design.designs_of(measured, now, before)
    assert {item.group for item in result.a.items} == {f"{folder}{clip}" for clip in range(10)}
    np.testing.assert_array_equal(result.counts_a.blocks().n_images, result.a.in_blocks)


def test_shared_images_whose_counts_are_not_separable_are_not_tested(project):
    file = project.file.path
    (project.root / "images" / "mixed").mkdir()
    for number in range(30):
        write_image(project.root / "images" / "mixed", f"m{number}x.png", 15 * (number + 20))
    file.write_text(file.read_text() + "  - name: mixed\n    uri: images/mixed\n")
    bring_up_to_date(project)
    result = result_of(project, "a", "mixed")
    assert result.statistics is None
    assert result.n_shared == 20
    assert result.not_tested.code == "significance.counts-not-separable"
    assert result.not_tested.facts["images"] == result.a


def test_of_few_images_against_many_the_sample_is_of_those_that_both_versions_have(tmp_path):
    """Removed images cannot be read any more."""
    many = {f"i{number}x.png": 15 * number for number in range(900)}
    project = toy_project(tmp_path, {"many": many}, "", "calibrate_on: [many]")
    bring_up_to_date(project)
    folder = tmp_path / "images" / "many"
    for number in range(0, 48, 6):
        (folder / f"i{number}x.png").unlink()
        write_image(folder, f"new{number}x.png", 15 * number + 14)
    bring_up_to_date(project)
    result = result_of(project, "many@1", "many", n_permutations=99)
    for part in (result, result.also):
        assert part.n_sampled_of > 800
        assert part.statistics is not None
    assert (result.a, result.remainder_of) == ("many without many@1", "many")
    assert result.n_images_extracted > 0


def test_the_same_images_are_not_tested(project):
    shutil.copytree(project.root / "images" / "twin", project.root / "images" / "copy")
    file = project.file.path
    file.write_text(file.read_text() + "  - name: copy\n    uri: images/copy\n")
    bring_up_to_date(project)
    result = result_of(project, "twin", "copy")
    assert (result.same, result.statistics, result.not_tested, result.significant) == (True, None, None, False)


def test_a_result_is_stored_and_read_back(project, monkeypatch):
    first = result_of(project, "a@1", "twin")
    monkeypatch.setattr(
        "dna_pipelines.analysis.significance.pair.significance", lambda *_, **__: pytest.fail("tested again")
    )
    again = result_of(ProjectFolder(project.root), "twin", "a@1")
    np.testing.assert_array_equal(first.statistics.neuron_p, again.statistics.neuron_p)
    values = [
        {name: value for name, value in vars(result.statistics).items() if name != "neuron_p"}
        for result in (first, again)
    ]
    assert values[0] == values[1]
    rows = project.catalog.rows("FROM significance")
    assert [(row["n_permutations"], row["sampling_unit"]) for row in rows] == [(299, "image")]
    assert rows[0]["significant"] == first.statistics.significant
    for name in ("p", "p_mean", "p_strongest", "n_changed"):
        assert rows[0][name] == getattr(first.statistics, name)
    neurons = project.catalog.rows("SELECT layer, len(p) AS n FROM neuron_significance")
    assert sum(row["n"] for row in neurons) == len(first.statistics.neuron_p)


def test_another_number_of_permutations_is_another_result(project):
    first, second = result_of(project, "a@1", "twin"), result_of(project, "a@1", "twin", n_permutations=199)
    assert (first.statistics.n_permutations, second.statistics.n_permutations) == (299, 199)
    assert len(project.catalog.rows("FROM significance")) == 2


def test_a_second_matrix_reads_no_blocks(project, monkeypatch):
    first = matrix_significance(project, "toy", n_permutations=199)
    monkeypatch.setattr("dna_pipelines.storage.fingerprints.read_blocks", lambda *_: pytest.fail("read"))
    again = matrix_significance(ProjectFolder(project.root), "toy", n_permutations=199)
    assert [pair.result.statistics.p for pair in again] == [pair.result.statistics.p for pair in first]


def test_sql_names_the_selection_of_a_result(project):
    save_selection(project, "mine", layers=["2"])
    for chosen in ("mine", None):
        significance_of(project, compare_pair(project, "a@1", "twin", selection=chosen), n_permutations=199)
    rows = project.catalog.rows("""SELECT s.selection, s.version, v.n_tested
        FROM significance v LEFT JOIN selections s ON s.weights_id = v.selection_id ORDER BY n_tested""")
    assert [tuple(row.values()) for row in rows] == [("mine", 1, 5), (None, None, 9)]


def test_results_of_before_caveats_were_stored_are_read(project):
    result_of(project, "a@1", "twin")
    (path,) = (project.lake.layout.root / "verdicts").glob("*.parquet")
    older = pq.read_table(path).drop_columns(["doubts"])
    path.unlink()
    pq.write_table(older, path)
    (row,) = project.catalog.rows("FROM significance")
    assert row["doubts"] is None
    assert list(row) == [column.name for column in project.catalog.columns("significance")]
    project.catalog.export()


def test_with_neurons_that_never_vary_p_is_that_of_the_mean():
    statistics = significance_of_constants()
    assert (statistics.p, statistics.p_mean, statistics.significant) == (1, 1, False)
    assert np.isnan(statistics.p_strongest)


def significance_of_constants():
    layers, n_images = Layers((Layer("a", 3),)), np.ones(64, np.uint64)
    counts = np.zeros((3, 64, 50), np.uint64)
    counts[:, :, 7] = 4
    return significance(
        Selection.everything(layers),
        lambda _: (counts, counts),
        n_images,
        n_images,
        n_permutations=99,
        seed=1,
        n_bins=1000,
    )


def test_the_remainder_of_a_set_are_the_images_that_the_other_does_not_have(project):
    new, old = resolve_image_set(project, "a"), resolve_image_set(project, "a@1")
    added = new.without(old)
    assert len(added.items) == N_ADDED
    assert all("new" in name for name in added.names)
    assert new.holds(old)
    assert not old.holds(new)
    assert old.without(new).items == ()
