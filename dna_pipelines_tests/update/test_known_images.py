"""Images that other datasets have, or that were there before, are not extracted again where they fill shards."""

import shutil

import numpy as np
import pytest

from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.dnas import find_dna
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.toy import toy_project, write_image

A = {f"{number:03d}.png": number for number in range(25)}
B = {f"{number:03d}.png": number for number in range(100, 112)}


@pytest.fixture
def project(tmp_path):
    project = toy_project(tmp_path, {"a": A, "b": B}, "shard_size: 10", "calibrate_on: [a]")
    bring_up_to_date(project)
    return project


def bring_up_to_date(project):
    """By dataset, the images that went through the network."""
    (config,), n_extracted = project.config().extractors, {}
    for dataset in project.config().datasets:
        refresh(project, dataset)
        ensure_ranges(project, config)
        n_extracted[dataset.name] = fit(project, dataset, config).work.n_images_extracted
    return n_extracted


def add(project, name, settings=""):
    file = project.file.path
    file.write_text(file.read_text() + f"  - name: {name}\n    uri: images/{name}\n    shard_size: 10\n{settings}")


def images(project, name):
    return project.root / "images" / name


def require_counts_of(project, name, *others):
    found = find_dna(project, name, "toy").counts
    np.testing.assert_array_equal(found, sum(find_dna(project, other, "toy").counts for other in others))


def test_a_copy_with_more_images_costs_those(project):
    shutil.copytree(images(project, "a"), images(project, "copy"))
    # In the middle, so that cutting again would move every image behind them to another shard.
    for number in range(3):
        write_image(images(project, "copy"), f"012-{number}.png", 500 + number)
    add(project, "copy")
    assert bring_up_to_date(project) == {"a": 0, "b": 0, "copy": 3}


def test_a_union_of_datasets_costs_nothing_and_is_their_sum(project):
    shutil.copytree(images(project, "a"), images(project, "both") / "a")
    shutil.copytree(images(project, "b"), images(project, "both") / "b")
    add(project, "both")
    assert bring_up_to_date(project)["both"] == 0
    require_counts_of(project, "both", "a", "b")
    # What comes to one of them comes to both.
    for number in range(4):
        write_image(images(project, "b"), f"new{number}.png", 600 + number)
        write_image(images(project, "both") / "b", f"new{number}.png", 600 + number)
    assert bring_up_to_date(project) == {"a": 0, "b": 4, "both": 0}
    require_counts_of(project, "both", "a", "b")


def test_images_that_went_and_came_back_cost_nothing(project):
    folder = images(project, "a")
    away = folder.with_name("away")
    away.mkdir()
    for number in range(10, 20):
        (folder / f"{number:03d}.png").rename(away / f"{number:03d}.png")
    assert bring_up_to_date(project)["a"] == 0
    write_image(folder, "new.png", 700)
    assert bring_up_to_date(project)["a"] == 1
    for path in sorted(away.iterdir()):
        path.rename(folder / path.name)
    assert bring_up_to_date(project)["a"] == 0


def test_other_groups_are_other_shards(project):
    shutil.copytree(images(project, "a"), images(project, "grouped") / "clip")
    add(project, "grouped", "    group_by: folder\n")
    assert bring_up_to_date(project)["grouped"] == len(A)


def test_shards_larger_than_asked_for_are_cut_again(project):
    shutil.copytree(images(project, "a"), images(project, "fine"))
    write_image(images(project, "fine"), "new.png", 800)
    add(project, "fine")
    file = project.file.path
    file.write_text(file.read_text().removesuffix("10\n") + "5\n")
    bring_up_to_date(project)
    commit = project.lake.versions.latest("fine")
    # Of `a` the last five fill a shard that is small enough.
    assert [shard.n_images for shard in commit.shards] == [5, 5, 5, 5, 5, 1]


def test_a_manifest_that_is_lost_is_no_obstacle(project):
    lake = project.lake.layout.root
    for path in (lake / "datasets" / "b").rglob("*.parquet"):
        path.unlink()
    shutil.copytree(images(project, "b"), images(project, "copy"))
    write_image(images(project, "copy"), "new.png", 900)
    add(project, "copy")
    for dataset in project.config().datasets[::-1]:
        refresh(project, dataset)
    assert project.lake.versions.latest("copy").n_images == len(B) + 1
