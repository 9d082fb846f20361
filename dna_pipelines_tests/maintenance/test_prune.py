"""Old versions are pruned: nothing that a kept one needs is removed, and everything else is."""

import os
import random
import shutil
import time

import numpy as np
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.images.feature_table import feature_table
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError, NothingToCompare
from dna_pipelines.maintenance import prune as pruning
from dna_pipelines.maintenance.prune import carry_out, plan_pruning, prune, prune_as_configured
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.measure_tables import DNA_TABLES, TABLES
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.maintenance.conftest import (
    copy_of,
    counts,
    files,
    grow,
    place,
    problems,
    shrink,
    stems,
    update,
)
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project, write_image

DAY_S = 24 * 3600


def test_the_last_versions_are_kept_whole_and_the_others_go(project):
    before = {"two": counts(project, "two")}
    grow(project, 100)
    shrink(project, 0, 6)
    before |= {f"one@{seq}": counts(project, f"one@{seq}") for seq in (3, 4)}
    commits = project.lake.versions.history("one")
    key = project.lake.fingerprints.extractor("toy").comparability_key
    found = prune(project, 2)
    assert found.n_versions == {"one": 2}
    assert stems(project, "datasets/one/manifests/*.parquet") == {commits[2].manifest_id, commits[3].manifest_id}
    kept = {dna_id(key, commit.version_id) for commit in (*commits[2:], *project.lake.versions.history("two"))}
    assert stems(project, "dna/records/*.json") == kept
    for table in DNA_TABLES:
        assert stems(project, f"dna/{table}/*.parquet") == kept
    shards = {shard.shard_id for commit in commits[2:] for shard in commit.shards}
    shards |= {shard.shard_id for shard in project.lake.versions.latest("two").shards}
    for table in TABLES:
        assert stems(project, f"partials/*/{table}/*.parquet") == shards
    assert len(project.lake.versions.history("one")) == 4
    for reference in ("two", "one@3", "one@4"):
        np.testing.assert_array_equal(counts(project, reference), before[reference])
    np.testing.assert_array_equal(counts(project, "one@-1"), before["one@3"])
    assert problems(project) == []
    assert len(feature_table(project, "one@-1", "toy").rows) == 12
    compare_pair(project, "one@-1", "one")


def test_a_pruned_version_is_an_error_of_its_own(project):
    grow(project, 100, 101)
    prune(project, 2)
    with raises(NothingToCompare, "compare.pruned"):
        compare_pair(project, "one@1", "one")
    with raises(NothingToCompare, "compare.pruned"):
        feature_table(project, "one@1", "toy")
    with raises(LakeError, "lake.version-pruned", dataset="one", seq=1):
        compare_pair(project, "one[group=x]@1", "one")


def test_it_costs_an_update_nothing(project):
    grow(project, 100, 101, 102)
    prune(project, 2)
    assert update(project) == {"one": 0, "two": 0}
    write_image(place(project), "103.png", 103)
    assert update(project) == {"one": 1, "two": 0}


def test_what_is_planned_is_removed_and_a_second_time_there_is_nothing(project):
    grow(project, 100)
    shrink(project, 0, 6)
    before = files(project)
    planned = plan_pruning(project, 2)
    assert files(project) == before
    n_bytes = sum(path.stat().st_size for path in project.lake.layout.root.rglob("*") if path.is_file())
    assert carry_out(project, planned) == planned
    left = sum(path.stat().st_size for path in project.lake.layout.root.rglob("*") if path.is_file())
    assert planned.n_bytes == n_bytes - left > 0
    assert planned.n_removed == {"DNA": 2, "partial": 1, "manifest": 2}
    again = prune(project, 2)
    assert (again.n_versions, again.n_removed, again.n_bytes) == ({}, {}, 0)


def test_what_another_dataset_needs_stays(project):
    """`two` gets the images of `one`, whose shards it takes over; then `one` goes on."""
    for path in place(project).iterdir():
        shutil.copy(path, place(project, "two") / f"copy-{path.name}")
    assert update(project) == {"one": 0, "two": 0}
    before = counts(project, "two")
    for path in list(place(project).iterdir())[:6]:
        path.unlink()
        update(project)
    assert prune(project, 2).n_removed["partial"] > 0
    np.testing.assert_array_equal(counts(project, "two"), before)
    assert len(feature_table(project, "two", "toy").rows) == 18
    assert problems(project) == []


def test_a_dataset_that_is_watched_no_more_keeps_its_last_versions(project):
    grow(project, 100, 101, 102, name="two")
    text = project.file.path.read_text()
    project.file.path.write_text(text[: text.index("  - name: two")])
    project = ProjectFolder(project.root)
    before = counts(project, "two")
    assert prune(project, 2).n_versions == {"two": 2}
    np.testing.assert_array_equal(counts(project, "two"), before)


def test_renames_are_no_versions(project):
    grow(project, 100)
    for number in range(5):
        (place(project) / "100.png").rename(place(project) / "x.png")
        (place(project) / "x.png").rename(place(project) / f"10{number}-.png")
        shutil.move(place(project) / f"10{number}-.png", place(project) / "100.png")
        os.utime(place(project) / "100.png", (1_700_000_000 + number, 1_700_000_000))
        update(project)
    found = prune(project, 2)
    assert found.n_versions == {}
    counts(project, "one@-1")


def test_images_that_come_back_are_extracted_again(project):
    before = counts(project, "one")
    (place(project) / "000.png").unlink()
    update(project)
    grow(project, 100, 101)
    prune(project, 2)
    for name in ("100.png", "101.png"):
        (place(project) / name).unlink()
    write_image(place(project), "000.png", 0)
    assert update(project)["one"] > 0
    np.testing.assert_array_equal(counts(project, "one"), before)


def test_shards_that_were_joined_need_their_parts_no_longer(project):
    # Each new image is a small shard; more than eight of them are joined.
    for number in range(200, 210):
        grow(project, number)
    joined = {shard.shard_id: shard.parents for shard in project.lake.versions.latest("one").shards if shard.parents}
    assert joined
    grow(project, 300, 301)
    parts = {parent for parents in joined.values() for parent in parents}
    assert parts & stems(project, "partials/*/images/*.parquet")
    prune(project, 2)
    assert not parts & stems(project, "partials/*/images/*.parquet")
    assert update(project) == {"one": 0, "two": 0}


def test_parts_stay_where_the_joined_shard_was_not_measured_yet(project):
    for number in range(200, 209):
        grow(project, number)
    write_image(place(project), "209.png", 209)
    for dataset in project.config().datasets:
        refresh(project, dataset)
    latest = project.lake.versions.latest("one")
    parts = {parent for shard in latest.shards for parent in shard.parents}
    there = parts & stems(project, "partials/*/images/*.parquet")
    assert len(there) == 9
    prune(project, 2)
    assert there <= stems(project, "partials/*/images/*.parquet")
    assert update(project)["one"] == 1


def test_what_is_not_measured_yet_stays_and_so_does_the_last_that_is(project):
    """Others commit while a run measures, or a check blocks all newer versions."""
    before = counts(project, "one")
    for number in (100, 101, 102):
        write_image(place(project), f"{number:03d}.png", number)
        refresh(project, project.file.dataset("one"))
    found = prune(project, 2)
    assert (found.n_versions, found.n_removed) == ({}, {})
    np.testing.assert_array_equal(counts(project, "one@1"), before)
    assert update(project) == {"one": 3, "two": 0}
    assert prune(project, 2).n_versions == {"one": 2}


def test_a_dataset_whose_first_commit_was_killed_is_no_hindrance(project):
    grow(project, 100, 101)
    project.lake.layout.commits("three").mkdir(parents=True)
    assert prune(project, 2).n_versions == {"one": 1}


def test_a_version_that_came_back_is_not_pruned(project):
    grow(project, 100)
    (place(project) / "100.png").unlink()
    update(project)
    grow(project, 101)
    assert prune(project, 2).n_versions == {"one": 1}
    again = prune(project, 2)
    assert (again.n_versions, again.n_removed) == ({}, {})


def test_strange_files_are_removed_when_they_are_old(project):
    layout = project.lake.layout
    (key,) = {path.name for path in (layout.root / "partials").iterdir()}
    strange = [
        layout.partial(key, "images", "0" * 24),
        layout.dna("blocks", "0" * 24),
        layout.manifest("one", "0" * 24),
    ]
    for path in strange:
        path.write_bytes(b"-")
    assert prune(project, 2).n_removed == {}
    for path in strange:
        os.utime(path, (time.time() - 2 * DAY_S,) * 2)
    assert prune(project, 2).n_removed == {"partial": 1, "DNA": 1, "manifest": 1}
    assert not any(path.exists() for path in strange)


def test_age_is_no_reason_where_a_version_needs_it(project):
    grow(project, 100)
    for path in project.lake.layout.root.rglob("*"):
        os.utime(path, (time.time() - 400 * DAY_S,) * 2)
    before = files(project)
    prune(project, 2)
    assert files(project) == before


@pytest.fixture(scope="module")
def changed(made, tmp_path_factory):
    """Four versions of `one`, the last two without images of the first."""
    project = copy_of(made, tmp_path_factory.mktemp("changed"))
    grow(project, 100)
    shrink(project, 0, 6)
    return project.root


@pytest.mark.parametrize("nth", [0, 1, 3, 6, 10, 15])
def test_stopped_anywhere_it_leaves_a_sound_lake_and_goes_on(changed, tmp_path, monkeypatch, nth):
    project = copy_of(changed, tmp_path)
    before = counts(project, "one")
    left = nth

    def stopping(path):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        path.unlink()

    with monkeypatch.context() as patched:
        patched.setattr(pruning, "remove", stopping)
        with pytest.raises(KeyboardInterrupt):
            prune(project, 2)
    assert problems(project) == []
    assert update(project) == {"one": 0, "two": 0}
    prune(project, 2)
    assert prune(project, 2).n_removed == {}
    np.testing.assert_array_equal(counts(project, "one"), before)
    assert len(stems(project, "dna/records/*.json")) == 3


def test_commits_that_cannot_be_read_stop_it_before_anything_is_removed(project):
    grow(project, 100, 101, 102)
    project.lake.layout.commit("two", 1).write_text("{")
    before = files(project)
    with raises(LakeError, "lake.damaged"):
        prune(project, 2)
    assert files(project) == before


def test_the_datasets_file_asks_for_it(project):
    grow(project, 100, 101, 102)
    assert prune_as_configured(project) is None
    project.file.path.write_text("keep_versions: 3\n" + project.file.path.read_text())
    assert prune_as_configured(ProjectFolder(project.root)).n_versions == {"one": 1}
    assert prune_as_configured(ProjectFolder(project.root)) is None


def test_what_changes_after_planning_is_not_removed(project):
    """The images of a version that is to be pruned come back before the plan is carried out."""
    grow(project, 100, 101, 102)
    planned = plan_pruning(project, 2)
    assert planned.n_versions == {"one": 2}
    for name in ("100.png", "101.png", "102.png"):
        (place(project) / name).unlink()
    update(project)
    before = counts(project, "one")
    assert carry_out(project, planned).n_versions == {"one": 2}
    np.testing.assert_array_equal(counts(project, "one"), before)
    assert problems(project) == []


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(2, 60))]
)
def test_whatever_happened_what_is_kept_is_as_without_it(tmp_path, seed):
    """Images come, change, go and come back, in two datasets that share some; one project prunes, its twin never does."""
    chance = random.Random(seed)
    images = {name: {f"{n:03d}.png": n for n in range(start, start + 8)} for name, start in (("one", 0), ("two", 4))}
    projects = [toy_project(tmp_path / name, images, "shard_size: 5") for name in ("pruning", "twin")]
    for project in projects:
        update(project)
    for _ in range(chance.randint(4, 9)):
        name, number = chance.choice(["one", "two"]), chance.randrange(16)
        what, other = chance.choice(["put", "put", "change", "remove"]), chance.randrange(16)
        for project in projects:
            file = place(project, name) / f"{number:03d}.png"
            if what == "remove" and len(list(file.parent.iterdir())) > 3:
                file.unlink(missing_ok=True)
            else:
                write_image(file.parent, file.name, number if what == "put" else 100 + other)
        for project in projects:
            update(project)
        keep = chance.choice([2, 2, 3])
        if chance.random() < 0.6:
            prune(projects[0], keep)
            assert problems(projects[0]) == []
        for reference in ("one", "two", "one@-1", "two@-1"):
            try:
                expected = counts(projects[1], reference)
            except Exception:  # noqa: BLE001 (there is no version before)
                continue
            np.testing.assert_array_equal(counts(projects[0], reference), expected)
