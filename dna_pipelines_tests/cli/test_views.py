"""Views of an extractor, from the datasets file to comparisons and back."""

import shutil

import numpy as np
import pytest

from dna_pipelines.errors import UserError
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.manifests import Shard
from dna_pipelines.project.current import publish
from dna_pipelines.project.image_bytes import reader
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import calibrated, ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.pairs import update_pairs
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project, write_image

NAMES = ["toy", "toy.projected8", "toy.whitened", "toy.spatial"]


def images_of(root, dataset):
    return root / "images" / dataset


DATASETS = {"a": {f"{n}.png": n for n in range(12)}, "b": {f"{n}.png": n for n in range(20, 30)}}


def made(root):
    """A project with three views, with nothing done yet."""
    views = "views: [projected8, whitened, spatial]\ncalibrate_on: [a]"
    return toy_project(root, DATASETS, "shard_size: 5", views)


def bring_up_to_date(project):
    """What a run does, without Dagster; by extractor, the DNAs of the first dataset."""
    for dataset in project.config().datasets:
        refresh(project, dataset)
    found = {}
    for config in project.config().extractors:
        ensure_ranges(project, config)
        done = [fit(project, dataset, config) for dataset in project.config().datasets]
        found[config.name] = done[0]
        update_pairs(project, config.name)
    publish(project)
    return found


def change(root):
    folder = root / "images" / "a"
    for number in range(40, 43):
        write_image(folder, f"{number}.png", number)
    for number in (0, 7):
        (folder / f"{number}.png").unlink()


def require_rebuilt(project):
    """The DNA of every extractor and view is that of all images measured at once."""
    dataset = project.file.dataset("a")
    manifest = project.lake.versions.manifest(project.lake.versions.latest("a"))
    whole = Shard(tuple(row.item for row in manifest.readable))
    assert len(whole) == 13
    for config in project.config().extractors:
        ready, fitted = calibrated(project, config), fit(project, dataset, config)
        assert fitted.work.was_current
        # The two shards of five that lost an image each, and what was added; not what they had in common.
        assert fitted.record.n_images_extracted < len(whole)
        read = reader(project, dataset, manifest)
        [(_, rebuilt)] = extract_partials(ready.extractors[0], ready.ranges, [whole], read, workers=1)
        histogram, moments, blocks = project.lake.fingerprints.dna_sums(fitted.record.dna_id)
        counts_equal(histogram, rebuilt.histogram)
        counts_equal(blocks, rebuilt.blocks)
        moments_equal(moments, rebuilt.moments)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with three views that was brought up to date, changed, and brought up to date again."""
    root = tmp_path_factory.mktemp("views")
    project = made(root)
    before = bring_up_to_date(project)
    change(root)
    after = bring_up_to_date(project)
    assert {name: done.comparability_key for name, done in before.items()} == {
        name: done.comparability_key for name, done in after.items()
    }
    return root


def test_views_are_current_after_images_came_and_went(first):
    """An update extracts what changed, for each view as for the network, and equals a full rebuild."""
    project = ProjectFolder(first)
    assert [entry.name for entry in project.config().extractors] == NAMES
    require_rebuilt(project)


@pytest.mark.campaign
def test_a_run_keeps_views_current(tmp_path, dna):
    project = made(tmp_path)
    assert dna("--root", tmp_path, "run").code == 0
    change(tmp_path)
    said = dna("--root", tmp_path, "run", "--json")
    assert said.code == 0, said.err
    require_rebuilt(project)
    again = dna("--root", tmp_path, "run", "--json").json
    assert list(again["pairs"]) == NAMES
    assert not any(pairs["n_pairs_computed"] for pairs in again["pairs"].values())


def test_a_selection_of_a_network_is_none_of_its_views(first, dna):
    """Their layers are called alike, and those of `whitened` are as wide; their neurons are others."""
    root = ("--root", first)
    assert dna(*root, "select", "save", "own", "--extractor", "toy", "--layer", "2").code == 0
    for extractor in ("toy", "toy.whitened"):
        assert dna(*root, "compare", "a", "b", "--extractor", extractor, "--no-test").code == 0
    refused = dna(*root, "matrix", "--selection", "own", "--extractor", "toy.whitened")
    assert (refused.code, refused.names("neuron", "whitened")) == (1, True)
    (expected,) = dna(*root, "matrix", "--selection", "own", "--extractor", "toy", "--json").json["values"][0][1:]
    rows = dna(*root, "sql", "SELECT distance FROM steered('own') WHERE metric = 'emd_bins'", "--json").json
    assert rows == [{"distance": pytest.approx(expected, rel=1e-6)}]
    by_hand = """SELECT list_dot_product("values"::DOUBLE[], weights) / list_sum(weights) AS distance
        FROM neuron_distances d JOIN selection_weights USING (layer)
        WHERE d.extractor = 'toy' AND metric = 'emd_bins' AND selection = 'own' AND list_sum(weights) > 0"""
    assert dna(*root, "sql", by_hand, "--json").json == rows


def test_sql_has_the_distances_under_every_name_of_an_extractor(first, tmp_path, dna):
    first = shutil.copytree(first, tmp_path / "copy")
    file = first / "data" / "datasets.yaml"
    file.write_text(
        file.read_text().replace(
            "datasets:\n", "  - {name: alias, network: toy, batch_size: 4, calibrate_on: [a]}\ndatasets:\n", 1
        )
    )
    bring_up_to_date(ProjectFolder(first))
    dna("--root", first, "compare", "a", "b", "--extractor", "toy", "--no-test")
    query = "SELECT extractor, count(*) AS n FROM neuron_distances GROUP BY ALL ORDER BY ALL"
    found = {row["extractor"]: row["n"] for row in dna("--root", first, "sql", query, "--json").json}
    assert found["alias"] == found["toy"] > 0


def test_how_far_datasets_are_from_their_mean_in_a_view(first, tmp_path, dna):
    first = shutil.copytree(first, tmp_path / "copy")
    (first / "images" / "c").mkdir()
    for number in range(60, 66):
        write_image(first / "images" / "c", f"{number}.png", number)
    file = first / "data" / "datasets.yaml"
    file.write_text(file.read_text().replace("datasets:\n", "datasets:\n  - {name: c, uri: images/c}\n", 1))
    bring_up_to_date(ProjectFolder(first))
    for name in ("toy.projected8", "toy.whitened", "toy.spatial"):
        found = dna("--root", first, "map", "--from-mean", "--extractor", name, "--json").json["datasets"]
        assert all(one["from_mean_bins"] > 0 for one in found)


def test_a_renamed_extractor_takes_its_views_along(first, tmp_path):
    """Under another name nothing is measured again: ranges, basis and DNAs are found."""
    root = tmp_path / "renamed"
    shutil.copytree(first, root)
    file = root / "data" / "datasets.yaml"
    file.write_text(
        file.read_text()
        .replace(
            "  - name: toy\n",
            "  - {name: mine, network: toy, batch_size: 4, "
            "views: [projected8, whitened, spatial], calibrate_on: [a]}\n",
        )
        .replace("    batch_size: 4\n    views: [projected8, whitened, spatial]\n    calibrate_on: [a]\n", "")
    )
    renamed = ProjectFolder(root)
    for config in renamed.config().extractors:
        _, were_made = ensure_ranges(renamed, config)
        assert not were_made
        assert fit(renamed, renamed.file.dataset("a"), config).work.was_current


def test_recalibrating_a_view_leaves_the_network_alone(first, tmp_path):
    root = tmp_path / "recalibrated"
    shutil.copytree(first, root)
    project = ProjectFolder(root)
    keys = {name: project.lake.fingerprints.extractor(name).comparability_key for name in NAMES}
    ensure_ranges(project, project.extractor_config("toy.whitened"), replace=True, on=["b"])
    after = {name: project.lake.fingerprints.extractor(name).comparability_key for name in NAMES}
    assert [name for name in NAMES if keys[name] != after[name]] == ["toy.whitened"]


def test_views_have_distances_of_their_own(first, dna):
    found = {}
    for name in NAMES:
        said = dna("--root", first, "compare", "a", "b", "--extractor", name, "--json").json
        assert said["emd_bins"] > 0
        found[name] = said["emd_bins"]
        matrix = dna("--root", first, "matrix", "--extractor", name, "--json").json
        assert np.isfinite(np.array(matrix["values"], float)).all()
        assert matrix["values"][0][1] == pytest.approx(said["emd_bins"], rel=1e-9)
    assert len(set(found.values())) == len(NAMES)


def test_a_frozen_basis_comes_back_as_it_was_written(first):
    project = ProjectFolder(first)
    for config in project.config().extractors:
        record = project.lake.fingerprints.extractor(config.name)
        ranges = project.lake.fingerprints.ranges(config.name, record.fingerprint)
        assert ranges.id == record.ranges_id
        assert (ranges.basis is not None) == bool(config.view and config.view.needs_basis)
        if ranges.basis:
            shapes = [weights.shape for weights in ranges.basis.weights]
            n_neurons = [layer.n_neurons for layer in ranges.layers]
            assert shapes == list(zip(n_neurons, [4, 5], strict=True))


def test_extractors_shows_views(first, dna):
    listed = dna("--root", first, "extractors", "--json").json
    mine = [row for row in listed if row["group"] == "this project"]
    assert [row["extractor"] for row in mine] == NAMES
    assert [row["view"] for row in mine] == [None, "projected8", "whitened", "spatial"]
    detail = dna("--root", first, "extractors", "toy.spatial", "--json").json
    assert list(detail["each_layer"]) == [f"{name}.r{i}c{j}" for name in "02" for i in (0, 1) for j in (0, 1)]
    shown = dna("--root", first, "extractors", "toy.whitened").out
    assert "toy.whitened" in shown
    assert all(
        layer in shown for layer in dna("--root", first, "extractors", "toy.whitened", "--json").json["each_layer"]
    )


def test_files_of_the_reference_cannot_hold_views(first, dna, tmp_path):
    said = dna("--root", first, "ranges", "export", "toy.projected8", tmp_path / "r.json")
    assert (said.code, said.error) == (1, "file.view-ranges")
    assert said.names("toy.projected8")
    said = dna("--root", first, "ranges", "export", "toy", tmp_path / "r.json")
    assert said.code == 0
    project = ProjectFolder(first)
    with raises(UserError, "ranges.of-a-view", extractor="toy.projected8"):
        ensure_ranges(project, project.extractor_config("toy.projected8"), file=str(tmp_path / "r.json"))
    said = dna("--root", first, "export", "a", tmp_path / "v.json", "--extractor", "toy.projected8")
    assert said.code == 1
    assert said.error == "compare.virtual-neurons"
    assert not (tmp_path / "v.json").exists()
