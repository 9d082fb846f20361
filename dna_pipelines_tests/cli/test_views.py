"""Views of an extractor, from the datasets file to comparisons and back."""

import time

import numpy as np
import pytest

from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.manifests import Shard
from dna_pipelines.pipeline.fingerprint import calibrated, fit, reader
from dna_pipelines.pipeline.project import Project
from dna_pipelines_tests.laws.merging import counts_equal, moments_equal
from dna_pipelines_tests.toy import toy_project, write_image

NAMES = ["toy", "toy.projected8", "toy.whitened", "toy.spatial"]


def images_of(root, dataset):
    return root / "images" / dataset


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project with three views that was run once."""
    from dna_pipelines_tests.cli.conftest import invoke

    root = tmp_path_factory.mktemp("views")
    datasets = {"a": {f"{n}.png": n for n in range(12)}, "b": {f"{n}.png": n for n in range(20, 30)}}
    settings = "shard_size: 5"
    toy_project(root, datasets, settings, "views: [projected8, whitened, spatial]\ncalibrate_on: [a]")
    said = invoke("--root", root, "run", "--json")
    assert said.code == 0, said.err
    return root


def test_views_are_current_after_images_came_and_went(first, dna):
    """An update extracts what changed, for each view as for the network, and equals a full rebuild."""
    before = Project(first).lake.fingerprints.extractor("toy.whitened").comparability_key
    folder = images_of(first, "a")
    for number in range(40, 43):
        write_image(folder, f"{number}.png", number)
    for number in (0, 7):
        (folder / f"{number}.png").unlink()
    time.sleep(0.01)
    said = dna("--root", first, "run", "--json")
    assert said.code == 0, said.err
    project = Project(first)
    assert [entry.name for entry in project.config().extractors] == NAMES
    assert project.lake.fingerprints.extractor("toy.whitened").comparability_key == before
    dataset = project.file.dataset("a")
    manifest = project.lake.versions.manifest(project.lake.versions.latest("a"))
    whole = Shard(tuple(row.item for row in manifest.readable))
    assert len(whole) == 13
    for config in project.config().extractors:
        fitted = fit(project, dataset, config)
        assert fitted.was_current
        # The two shards of five that lost an image each, and what was added; not what they had in common.
        assert fitted.record.n_images_extracted < len(whole)
        ready = calibrated(project, config)
        read = reader(project, dataset, manifest)
        [(_, rebuilt)] = extract_partials(ready.extractors[0], ready.ranges, [whole], read, workers=1)
        histogram, moments, blocks = project.lake.fingerprints.dna_sums(fitted.record.dna_id)
        counts_equal(histogram, rebuilt.histogram)
        counts_equal(blocks, rebuilt.blocks)
        moments_equal(moments, rebuilt.moments)
    again = dna("--root", first, "run", "--json")
    assert {name: pairs["n_computed"] for name, pairs in again.json["pairs"].items()} == dict.fromkeys(NAMES, 0)


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
    project = Project(first)
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
    assert "principal components" in shown
    assert "two convolutions" in shown


def test_files_of_others_have_no_place_for_views(first, dna, tmp_path):
    said = dna("--root", first, "ranges", "export", "toy.projected8", tmp_path / "r.json")
    assert said.code == 1
    assert said.tells("toy.projected8 is a view")
    said = dna("--root", first, "ranges", "export", "toy", tmp_path / "r.json")
    assert said.code == 0
    said = dna("--root", first, "ranges", "import", "toy.projected8", tmp_path / "r.json", "--yes")
    assert said.code == 1
    assert said.tells("`dna calibrate toy.projected8` measures both anew")
    said = dna("--root", first, "export", "a", tmp_path / "v.json", "--extractor", "toy.projected8")
    assert said.code == 1
