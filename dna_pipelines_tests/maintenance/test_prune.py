"""Old versions are pruned: nothing that a kept one needs is removed, and everything else is."""

import json
import os
import random
import shutil
import time

import numpy as np
import pytest

from dna_pipelines.analysis.compare import compare_pair
from dna_pipelines.analysis.images.feature_table import feature_table
from dna_pipelines.analysis.significance.subsample import fit_sample
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError, NothingToCompare
from dna_pipelines.maintenance import prune as pruning
from dna_pipelines.maintenance.doctor import examine
from dna_pipelines.maintenance.prune import carry_out, plan_pruning, prune, prune_as_configured
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.measure_tables import DNA_TABLES, TABLES
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.dnas import find_dna
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.pairs import update_pairs
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import toy_project, write_image

DAY_S = 24 * 3600
START_S = 1_700_000_000


@pytest.fixture
def project(tmp_path):
    images = {f"{number:03d}.png": number for number in range(12)}
    others = {f"{number:03d}.png": number for number in range(50, 56)}
    project = toy_project(tmp_path, {"one": images, "two": others}, "shard_size: 6")
    update(project)
    return project


def update(project):
    """Bring everything up to date; returns how many images were extracted, by dataset."""
    config = project.config()
    for dataset in config.datasets:
        refresh(project, dataset)
    ensure_ranges(project, config.extractors[0])
    fitted = {one.name: fit(project, one, config.extractors[0]) for one in config.datasets}
    update_pairs(project, "toy")
    return {name: one.work.n_images_extracted for name, one in fitted.items()}


def place(project, name="one"):
    return project.root / "images" / name


def grow(project, *numbers, name="one"):
    """New versions of a dataset, each with an image more."""
    for number in numbers:
        write_image(place(project, name), f"{number:03d}.png", number)
        update(project)


def files(project):
    root = project.lake.layout.root
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def shrink(project, *numbers):
    """New versions, each with an image less."""
    for number in numbers:
        (place(project) / f"{number:03d}.png").unlink()
        update(project)


def stems(project, pattern):
    return {path.stem for path in project.lake.layout.root.glob(pattern)}


def counts(project, reference):
    return find_dna(project, reference, "toy").histogram.counts


def problems(project):
    return [finding for finding in examine(project, pages=True) if not finding.ok]


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


@pytest.fixture
def clock(monkeypatch):
    """Sets the time that commits and records are of; a slice asked for is used at that time."""

    def at(project, moment_s, reference=""):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(START_S + moment_s))
        monkeypatch.setattr("dna_pipelines.storage.versions.now", lambda: stamp)
        monkeypatch.setattr("dna_pipelines.update.measure.now", lambda: stamp)
        if reference:
            identity = find_dna(project, reference, "toy").id
            os.utime(project.lake.layout.dna_record(identity), (START_S + moment_s,) * 2)
            return identity
        return None

    return at


@pytest.fixture
def grouped(tmp_path, clock):
    """Groups are the last digits of the names."""
    clock(None, 0)
    images = {f"{number:03d}.png": number for number in range(12)}
    project = toy_project(tmp_path, {"one": images}, "shard_size: 6\ngroup_by: 'regex:(.)\\.png'")
    update(project)
    return project


def test_slices_go_with_the_versions_they_were_used_with(grouped, clock):
    old = clock(grouped, 10, "one[group=1]")
    for number in (101, 111, 121):
        clock(grouped, number)
        grow(grouped, number)
    new = clock(grouped, 200, "one[group=1]")
    assert old != new
    assert {old, new} <= stems(grouped, "dna/records/*.json")
    before = counts(grouped, "one[group=1]")
    clock(grouped, 200, "one[group=1]")
    prune(grouped, 2)
    assert stems(grouped, "dna/records/*.json") & {old, new} == {new}
    np.testing.assert_array_equal(counts(grouped, "one[group=1]"), before)
    assert problems(grouped) == []


@pytest.mark.parametrize("used_again", [True, False])
def test_a_slice_that_did_not_change_stays_while_it_is_used(grouped, clock, used_again):
    """Otherwise it is recomputed at its next use: its images still exist."""
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    before = counts(grouped, "one[group=1]")
    # Asking for it is what counts.
    assert grouped.lake.layout.dna_record(found).stat().st_mtime > time.time() - 600
    assert clock(grouped, 200 if used_again else 10, "one[group=1]") == found
    prune(grouped, 2)
    assert (found in stems(grouped, "dna/records/*.json")) == used_again
    np.testing.assert_array_equal(counts(grouped, "one[group=1]"), before)


def test_a_slice_of_a_kept_version_stays_when_its_images_are_gone(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103):
        clock(grouped, number)
        grow(grouped, number)
    clock(grouped, 104)
    for name in ("001.png", "011.png"):
        (place(grouped) / name).unlink()
    update(grouped)
    before = counts(grouped, "one[group=1]@-1")
    os.utime(grouped.lake.layout.dna_record(found), (START_S + 10,) * 2)
    prune(grouped, 2)
    np.testing.assert_array_equal(counts(grouped, "one[group=1]@-1"), before)
    assert find_dna(grouped, "one[group=1]@-1", "toy").id == found


def rewrite(project, identity, **fields):
    """Change fields of a DNA's record, and not when it was used last; None removes one."""
    path = project.lake.layout.dna_record(identity)
    used = path.stat().st_mtime_ns
    record = {**json.loads(path.read_bytes()), **fields}
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))
    os.utime(path, ns=(used, used))


NO_FIELDS = {"dataset": None, "kind": None}
"""As records were before they named their dataset."""


@pytest.fixture
def named_alike(tmp_path, clock):
    """Datasets whose names begin alike, and like the label of a sample; groups are the last digits of the names."""
    clock(None, 0)
    numbers = {"a": range(12), "a.b": range(20, 32), "a-1": range(40, 52)}
    images = {name: {f"{number:03d}.png": number for number in some} for name, some in numbers.items()}
    project = toy_project(tmp_path, images, "shard_size: 6\ngroup_by: 'regex:(.)\\.png'")
    update(project)
    return project


@pytest.mark.parametrize("old_record", [False, True])
@pytest.mark.parametrize("label", ["a[group=1]", "a uniform sample of a", "a uniform sample of x", ""])
def test_whose_a_slice_is_does_not_depend_on_its_label(named_alike, clock, label, old_record):
    project = named_alike
    slices = {name: clock(project, 10, f"{name}[group=1]") for name in ("a", "a.b", "a-1")}
    for identity in slices.values():
        rewrite(project, identity, made_for=label, **(NO_FIELDS if old_record else {}))
    for number in (102, 103, 104):
        clock(project, number)
        grow(project, number, name="a.b")
    assert prune(project, 2).n_versions == {"a.b": 2}
    assert set(slices.values()) & stems(project, "dna/records/*.json") == {slices["a"], slices["a-1"]}
    assert problems(project) == []


def test_records_say_what_their_dna_is_of(grouped, clock):
    whole = clock(grouped, 10, "one")
    part = clock(grouped, 10, "one[group=1]")
    sample = resolve_image_set(grouped, "one").take([0, 3, 5], "any words", "sample")
    key = grouped.lake.fingerprints.extractor("toy").comparability_key
    fit_sample(grouped, sample, key, "toy")
    records = {one.dna_id: (one.dataset, one.kind) for one in grouped.lake.fingerprints.dna_records()}
    sampled = dna_id(key, sample.id)
    assert records == {whole: ("one", "version"), part: ("one", "slice"), sampled: ("one", "sample")}


def test_an_old_record_stays_where_any_dataset_with_its_images_may_need_it(grouped, clock):
    """A second dataset has the same images, and only the first loses versions."""
    text = grouped.file.path.read_text()
    grouped.file.path.write_text(text + "  - name: copy\n    uri: images/copy\n    group_by: 'regex:(.)\\.png'\n")
    shutil.copytree(place(grouped), place(grouped, "copy"))
    project = ProjectFolder(grouped.root)
    update(project)
    found = clock(project, 10, "one[group=1]")
    rewrite(project, found, **NO_FIELDS)
    for number in (102, 103, 104):
        clock(project, number)
        grow(project, number)
    # The manifest of the first version stays, because the copy's is the same.
    assert prune(project, 2).n_versions == {"one": 1}
    assert found in stems(project, "dna/records/*.json")


@pytest.mark.parametrize("lost", ["record", "dataset"])
def test_a_dna_whose_images_no_manifest_has_is_removed_a_day_after_its_last_use(grouped, clock, lost):
    found = clock(grouped, 10, "one[group=1]")
    if lost == "record":
        rewrite(grouped, found, **NO_FIELDS)
    else:
        rewrite(grouped, found, dataset="lost")
    (place(grouped) / "001.png").unlink()
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    os.utime(grouped.lake.layout.dna_record(found))
    prune(grouped, 2)
    assert found in stems(grouped, "dna/records/*.json")
    os.utime(grouped.lake.layout.dna_record(found), (time.time() - 2 * DAY_S,) * 2)
    prune(grouped, 2)
    assert found not in stems(grouped, "dna/records/*.json")
    assert problems(grouped) == []


def test_an_old_record_stays_while_a_manifest_that_may_name_it_is_damaged(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    rewrite(grouped, found, **NO_FIELDS)
    for number in (102, 103):
        clock(grouped, number)
        grow(grouped, number)
    (place(grouped) / "001.png").unlink()
    update(grouped)
    commit = grouped.lake.versions.history("one")[2]
    grouped.lake.layout.manifest("one", commit.manifest_id).write_bytes(b"-")
    prune(grouped, 2)
    assert found in stems(grouped, "dna/records/*.json")


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


@pytest.mark.parametrize("nth", [0, 1, 3, 6, 10, 15])
def test_stopped_anywhere_it_leaves_a_sound_lake_and_goes_on(project, monkeypatch, nth):
    grow(project, 100)
    shrink(project, 0, 6)
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


def test_a_slice_that_is_used_after_planning_is_not_removed(grouped, clock):
    found = clock(grouped, 10, "one[group=1]")
    for number in (102, 103, 104):
        clock(grouped, number)
        grow(grouped, number)
    planned = plan_pruning(grouped, 2)
    assert found in {one.of for one in planned.files}
    counts(grouped, "one[group=1]")
    carry_out(grouped, planned)
    assert found in stems(grouped, "dna/records/*.json")


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(4, 60))]
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
