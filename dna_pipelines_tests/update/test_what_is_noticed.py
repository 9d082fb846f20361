"""What a scan has to notice although names and times are the same, and what happens when files of the lake go."""

import json
import os
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dna_pipelines as dna
from dna_pipelines.errors import LakeError, NothingToCompare, UnknownName
from dna_pipelines.maintenance.doctor import examine
from dna_pipelines.manifests import file_rows
from dna_pipelines.manifests import scan as scanning
from dna_pipelines.project.current import publish
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import find_commit
from dna_pipelines.update import ingest, listing
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.pairs import matrix_id, update_pairs, wanted_pairs
from dna_pipelines.update.plan import make_plan
from dna_pipelines_tests.cli.conftest import invoke
from dna_pipelines_tests.raising import raises
from dna_pipelines_tests.toy import image_bytes, toy_project, write_image
from dna_pipelines_tests.update.test_kinds import LONG_AGO, write_shard


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    names = {f"{number}.png": number for number in range(6)}
    project = toy_project(root, {"a": names, "b": {"9.png": 9, "8.png": 8}}, "metadata: {uri: table.csv}")
    for path in (root / "images").rglob("*.png"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    (root / "table.csv").write_text("path,weather\n0.png,rain\n1.png,rain\n2.png,sun\n")
    bring_up_to_date(project)
    return root


@pytest.fixture
def project(made, tmp_path):
    return ProjectFolder(shutil.copytree(made, tmp_path / "project"))


def bring_up_to_date(project):
    extractor = project.config().extractors[0]
    for dataset in project.config().datasets:
        refresh(project, dataset)
    ensure_ranges(project, extractor)
    for dataset in project.config().datasets:
        fit(project, dataset, extractor)
    updated = update_pairs(project, "toy")
    project.lake.distances.note_drawn("toy", matrix_id(wanted_pairs(project, "toy")))
    return updated


def refreshed(project, name="a"):
    return refresh(project, project.file.dataset(name))


def lake(project):
    return project.lake.layout.root


def test_another_column_of_a_table_has_other_images(tmp_path):
    project = toy_project(tmp_path, {})
    table = {side: [image_bytes(number) for number in numbers] for side, numbers in (("l", (1, 2)), ("r", (3, 4)))}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    os.utime(tmp_path / "t.parquet", (LONG_AGO, LONG_AGO))
    file, text = project.file.path, project.file.path.read_text()
    entry = "  - name: t\n    uri: t.parquet\n    image_column: {}\n"
    found = {}
    for column in ("l", "r", "l"):
        file.write_text(text + entry.format(column))
        done = refreshed(ProjectFolder(tmp_path), "t")
        found.setdefault(column, set()).add(done.commit.version_id)
    assert [len(ids) for ids in found.values()] == [1, 1]
    assert found["l"] != found["r"]
    # Both ways of looking at the file are kept beside each other.
    assert len(list((lake(project) / "contents").iterdir())) == 2


def test_what_was_quarantined_is_read_again_under_other_rules(project, monkeypatch):
    (project.root / "images" / "a" / "odd.png").write_bytes(b"no image yet")
    os.utime(project.root / "images" / "a" / "odd.png", (LONG_AGO, LONG_AGO))
    assert refreshed(project).commit.n_quarantined == 1
    judged = file_rows.decode_with_info(image_bytes(1))
    monkeypatch.setattr(file_rows, "decode_with_info", lambda _data: judged)
    assert list_location(project, project.file.dataset("a")).is_current
    monkeypatch.setattr(ingest, "RULES", 99)
    monkeypatch.setattr(listing, "RULES", 99)
    assert refreshed(project).commit.n_quarantined == 0
    assert list_location(project, project.file.dataset("a")).is_current


def test_what_had_to_be_assumed_is_in_the_manifest_and_in_sql(project):
    Image.fromarray((np.arange(400).reshape(20, 20) * 9).astype(np.uint16)).save(project.root / "images/a/dark.png")
    done = refreshed(project)
    [row] = [row for row in done.manifest.readable if row.detail]
    assert row.name == "dark.png"
    assert row.name in done.commit.remark
    query = "SELECT path, assumed FROM images WHERE dataset = 'a' AND assumed IS NOT NULL"
    assert invoke("--root", project.root, "sql", query, "--json").json == [{"path": row.name, "assumed": row.detail}]


def test_a_dataset_whose_location_was_changed_is_not_taken_for_what_it_was(project):
    """As when it is removed, and another location is added under its name."""
    before, file = project.lake.versions.latest("a"), project.file.path
    file.write_text(file.read_text().replace("images/a", "images/b"))
    with raises(NothingToCompare, "compare.moved", dataset="a", seq=before.seq):
        resolve_image_set(project, "a")
    assert resolve_image_set(project, f"a@{before.seq}").commit == before
    api = dna.open_project(project.root)
    assert {row["dataset"]: row["dna_states"]["toy"] for row in api.status()} == {"a": "changed", "b": "current"}
    assert [row["n_images"] for row in api.list()] == [None, 2]
    assert refreshed(project).commit.version_id == project.lake.versions.latest("b").version_id
    assert resolve_image_set(project, "a").commit.n_images == 2


def test_counts_of_what_is_left_out_are_as_they_are_now(project):
    before = refreshed(project).commit
    (project.root / "images" / "a" / "notes.doc").write_text("x")
    done = refreshed(project)
    assert (before.n_ignored, done.commit.n_ignored, done.manifest.n_ignored) == (0, 1, 1)
    assert project.lake.versions.manifest(done.commit).n_ignored == 1
    assert refreshed(project).was_current


def test_changed_metadata_are_reported_as_such(project):
    table = project.root / "table.csv"
    table.write_text("path,weather\n0.png,snow\n1.png,rain\n2.png,snow\n")
    os.utime(table, (LONG_AGO + 9, LONG_AGO + 9))
    scanned = next(row for row in invoke("--root", project.root, "scan", "--json").json if row["dataset"] == "a")
    assert (scanned["n_images"], scanned["described"]) == (6, ["0.png", "2.png"])
    planned = next(
        row for row in invoke("--root", project.root, "run", "--dry-run", "--json").json if row["name"] == "a"
    )
    assert planned["changes"]["described"] == 2
    assert [row.name for _, row in refreshed(project).diff.described] == ["0.png", "2.png"]


def test_a_version_is_named_by_any_of_its_numbers_and_enough_of_its_id(project):
    folder = project.root / "images" / "a"
    (folder / "0.png").rename(folder / "moved.png")
    assert refreshed(project).commit.seq == 2
    write_image(folder, "new.png", 77)
    last = refreshed(project).commit
    first = find_commit(project, "a@1")
    assert find_commit(project, "a@2").seq == 2
    assert find_commit(project, "a@-1").seq == 2
    assert find_commit(project, f"a@{first.version_id[:4]}").version_id == first.version_id
    for wrong in (last.version_id[:3], first.version_id[:1], "7", "0"):
        with raises(UnknownName, "name.version", dataset="a", version=wrong):
            find_commit(project, f"a@{wrong}")


def test_an_id_that_may_be_two_versions_is_refused(project, monkeypatch):
    commit = project.lake.versions.latest("a")
    two = [commit.model_copy(update={"seq": n, "version_id": f"abcd{n}"}) for n in (1, 2)]
    monkeypatch.setattr(type(project.lake.versions), "history", lambda *_: two)
    with raises(UnknownName, "name.ambiguous-version", dataset="a", version="abcd", matches=["abcd1", "abcd2"]):
        find_commit(project, "a@abcd")
    assert find_commit(project, "a@abcd1").seq == 1


def test_a_slice_of_the_version_before_goes_by_what_was_said_last(project):
    table = project.root / "table.csv"
    table.write_text("path,weather\n0.png,hail\n")
    os.utime(table, (LONG_AGO + 9, LONG_AGO + 9))
    refreshed(project)
    write_image(project.root / "images" / "a", "new.png", 78)
    refreshed(project)
    assert len(resolve_image_set(project, "a[weather=hail]@-1").items) == 1


@pytest.mark.parametrize(("text", "value"), [("a[c=]", None), ('a[c=""]', ""), ("a[c='']", ""), ("a[c= ]", None)])
def test_an_empty_value_is_not_the_same_as_none(text, value):
    (condition,) = Reference.parse(text).where
    assert condition.value == value
    assert Reference.parse(str(Reference.parse(text))) == Reference.parse(text)


def test_a_file_that_settled_is_not_read_at_every_scan(project, monkeypatch):
    path = project.root / "images" / "a" / "fresh.png"
    write_image(path.parent, path.name, 79)
    assert refreshed(project).commit.n_unsettled == 1
    read, clock = [], time.time_ns() + 10 * scanning.SETTLING_NS
    real = scanning.bounded_read
    monkeypatch.setattr(scanning, "bounded_read", lambda source, entry: read.append(entry.path) or real(source, entry))
    monkeypatch.setattr(time, "time_ns", lambda: clock)
    assert refreshed(project).was_current
    assert read == [b"fresh.png"]
    assert refreshed(project).was_current
    assert read == [b"fresh.png"]


@pytest.mark.parametrize(("age_s", "n_unsettled"), [(1.9, 1), (2.1, 0)])
def test_a_file_is_settled_two_seconds_after_it_was_modified(project, monkeypatch, age_s, n_unsettled):
    path = project.root / "images" / "a" / "fresh.png"
    write_image(path.parent, path.name, 79)
    clock = path.stat().st_mtime_ns + int(age_s * 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: clock)
    assert refreshed(project).commit.n_unsettled == n_unsettled


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_manifest_is_made_again(project, damage):
    commit = project.lake.versions.latest("a")
    (path,) = (lake(project) / "datasets" / "a" / "manifests").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    findings = {finding.what: finding for finding in examine(project)}
    assert not findings["manifest of a"].ok
    assert findings["manifest of b"].ok
    with raises(LakeError, "lake.damaged", path=str(path)):
        project.lake.versions.manifest(commit)
    if damage == "gone":
        path.unlink()
        (plan, _) = make_plan(project).datasets
        assert plan.state == "changed"
    done = refreshed(project)
    assert done.commit == commit
    assert len(project.lake.versions.manifest(commit).readable) == 6


def test_lost_distances_are_computed_again(project):
    assert bring_up_to_date(project).n_computed == 0
    for path in (lake(project) / "distances" / "layers").iterdir():
        path.unlink()
    assert bring_up_to_date(project).n_computed == 1


@pytest.mark.parametrize("table", ["histogram", "moments", "covariance", "blocks"])
def test_a_lost_table_of_a_dna_is_made_again(project, table):
    for path in (lake(project) / "dna" / table).iterdir():
        path.unlink()
    assert not make_plan(project).nothing_to_do
    bring_up_to_date(project)
    assert make_plan(project).nothing_to_do
    assert len(list((lake(project) / "dna" / table).iterdir())) == 2


def test_half_a_character_beside_an_image_is_a_problem_of_its_metadata(tmp_path):
    project = toy_project(tmp_path, {})
    project.file.path.write_text(project.file.path.read_text() + "  - name: w\n    uri: s/*.tar\n")
    write_shard(tmp_path / "s" / "0.tar", range(2), "\ud800")
    done = refreshed(project, "w")
    assert done.commit.n_images == 2
    assert all("surrogates" in row.metadata["metadata_problem"] for row in done.manifest.readable)


def test_views_show_watched_datasets_alone_and_stray_files_are_no_commits(project):
    (lake(project) / "datasets" / "a" / "commits" / "notes.json.bak").write_text("{}")
    (project.root / "images" / "b" / "bad.png").write_text("x")
    refreshed(project, "b")
    publish(project)
    assert project.catalog.rows("SELECT count(*) n FROM quarantine") == [{"n": 1}]
    project.file.remove("b")
    publish(project)
    assert project.catalog.rows("SELECT DISTINCT dataset FROM images") == [{"dataset": "a"}]
    assert project.catalog.rows("SELECT count(*) n FROM quarantine") == [{"n": 0}]
    assert json.loads(project.lake.versions.latest("a").to_bytes())["seq"] == 1
