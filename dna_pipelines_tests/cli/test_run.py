"""`dna run`: what it computes, what it says, and what it leaves alone."""

import os
import subprocess
import sys

import pytest

from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines.update.ingest import refresh
from dna_pipelines_tests.cli.conftest import LONG_AGO, snapshot, write_image


def by_name(said):
    return {report["dataset"]: report for report in said.json["datasets"]}


def work(report):
    (done,) = report["fingerprints"].values()
    return done["n_images_extracted"], done["n_partials_computed"], done["n_partials_reused"]


def test_the_first_run_says_what_it_computed(first_run):
    said = first_run[1]
    reports = by_name(said)
    assert list(reports) == ["d0", "d1", "d2"]
    for report in reports.values():
        assert (report["state"], report["n_images"], report["n_quarantined"]) == ("new", 10, 0)
        assert work(report) == (10, 1, 0)
        assert report["why"] == "10 added"
    assert said.json["pairs"]["builtin"] == {"n_pairs_computed": 3, "n_pairs_reused": 0, "left_out": []}
    assert said.json["calibrated"] == ["builtin"]


def test_a_second_run_computes_and_writes_nothing(project, dna):
    # The catalog names absolute paths: it is written once where the copied project lies now.
    assert dna("run").code == 0
    before = snapshot(project)
    said = dna("run", "--json")
    assert said.code == 0
    assert {name: work(report) for name, report in by_name(said).items()} == dict.fromkeys(
        ("d0", "d1", "d2"), (0, 0, 1)
    )
    assert said.json["pairs"]["builtin"] == {"n_pairs_computed": 0, "n_pairs_reused": 3, "left_out": []}
    assert snapshot(project) == before


def test_a_second_run_says_so_to_people(project, dna):
    said = dna("run")
    assert said.out.count("nothing changed since the last run") == 3
    assert "0 pairs compared, 3 reused" in said.out
    assert "everything is up to date" in said.out


@pytest.mark.parametrize("command", ["run", "scan"])
def test_what_computes_nothing_imports_neither_dagster_nor_torch(project, command):
    code = (
        "import sys; import dna_pipelines.cli.main; from dna_pipelines.cli.app import app; "
        f"app([{command!r}], standalone_mode=False); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'dagster', 'torch', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_place_that_vanished_is_told_and_the_others_are_brought_up_to_date(changed_run):
    said = changed_run[1]
    reports = by_name(said)
    assert said.code == 3
    assert "d2 does not exist" in reports["d2"]["problem"]
    assert reports["d2"]["problem_kind"] == "failed"
    assert [reports[name]["problem"] for name in ("d0", "d1", "d3")] == [None] * 3
    assert work(reports["d0"]) == (1, 1, 1)
    assert (reports["d0"]["n_images"], reports["d0"]["why"]) == (11, "1 added")


def test_a_broken_image_is_left_out_and_counted(changed_run):
    report = by_name(changed_run[1])["d1"]
    assert (report["n_images"], report["n_quarantined"]) == (10, 1)
    assert report["why"] == "1 left out, unreadable"
    assert work(report)[0] == 0


def test_a_broken_image_ends_in_the_quarantine(changed, dna):
    (row,) = dna("sql", "FROM quarantine", "--json").json
    assert (row["dataset"], row["path"]) == ("d1", "broken.png")
    assert row["reason"] in {"truncated", "corrupt"}


def test_a_dataset_without_images_has_no_dna_and_is_no_failure(changed_run):
    said = changed_run[1]
    assert by_name(said)["d3"]["n_images"] == 0
    assert said.json["pairs"]["builtin"]["left_out"] == ["d3"]
    assert said.json["problems"] == []


def test_what_vanished_keeps_its_fingerprint(changed, dna):
    assert dna("compare", "d1", "d2", "--json").json["emd_bins"] > 0


def test_a_vanished_place_is_told_even_if_there_is_nothing_else_to_do(project, dna):
    (project / "d2").rename(project / "elsewhere")
    said = dna("run")
    assert said.code == 3
    assert "d2: " in said.err
    assert "does not exist" in said.err
    assert "not everything is up to date" in said.out


@pytest.mark.parametrize("command", ["run", "scan", "list", "profile"])
def test_where_no_dataset_is_watched_that_is_told(project, dna, command):
    (project / "data" / "datasets.yaml").write_text("datasets: []\n")
    said = dna(command)
    assert said.code == 1
    assert said.tells("names no datasets yet; `dna add NAME PLACE` adds one")


def test_one_pair_is_no_pairs(project, dna):
    (project / "d3").mkdir()
    write_image(project / "d3" / "new.png", 7)
    for name in ("d1", "d2"):
        dna("remove", name)
    dna("add", "d3", "d3")
    assert "1 pair compared" in dna("run").out


def test_if_every_dataset_fails_the_run_failed(project, dna):
    (project / "d2").rename(project / "elsewhere")
    assert dna("run", "d2").code == 1


def test_only_the_named_datasets_are_brought_up_to_date(project, dna):
    write_image(project / "d0" / "new.png", 7)
    write_image(project / "d1" / "new.png", 8)
    reports = by_name(dna("run", "d1", "--json"))
    assert list(reports) == ["d1"]
    assert reports["d1"]["n_images"] == 11
    assert [row["added"] for row in dna("scan", "--json").json] == [["new.png"], [], []]


def test_a_dataset_that_is_named_twice_is_done_once(project, dna):
    assert [report["dataset"] for report in dna("run", "d0", "d0", "--json").json["datasets"]] == ["d0"]


def test_a_dry_run_writes_nothing(project, dna):
    write_image(project / "d0" / "new.png", 7)
    (project / "d1" / "0.png").unlink()
    before = snapshot(project)
    found = {row["name"]: row for row in dna("run", "--dry-run", "--json").json}
    assert snapshot(project) == before
    assert {name: (row["state"], row["n_to_extract"]["builtin"]) for name, row in found.items()} == {
        "d0": ("changed", 1),
        "d1": ("changed", 9),
        "d2": ("unchanged", 0),
    }
    assert found["d0"]["changes"]["added"] == 1
    assert found["d1"]["changes"]["removed"] == 1


@pytest.mark.parametrize(
    ("setting", "why", "n_extracted"),
    [
        ("group_by: 'regex:([0-4])'", "groups of 5 images changed", 10),
        ("shard_size: 7", "its settings changed, no image did", 0),
    ],
)
def test_a_change_of_settings_is_told_as_such(settings, dna, setting, why, n_extracted):
    settings("uri: d1\n", f"uri: d1\n    {setting}\n")
    said = dna("run", "d1", "--dry-run")
    assert why in " ".join(said.out.split())
    report = by_name(dna("run", "d1", "--json"))["d1"]
    assert why in report["why"]
    assert work(report)[0] == n_extracted


def test_touched_files_are_told_as_such(project, dna):
    os.utime(project / "d0" / "0.png", (LONG_AGO + 1, LONG_AGO + 1))
    assert "files were touched" in dna("run", "d0", "--dry-run").out
    assert by_name(dna("run", "d0", "--json"))["d0"]["why"] == "files were touched, no byte changed"


def test_a_dry_run_of_a_new_project_makes_no_lake(tmp_path, dna):
    write_image(tmp_path / "images" / "a.png", 1)
    dna("add", "a", "images")
    before = snapshot(tmp_path)
    said = dna("run", "--dry-run")
    assert said.code == 0
    assert "nothing was computed or committed" in said.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("local:nope", "nope is not a folder; put config.json"),
        ("builtim", "extractor x: there is no extractor 'builtim'; did you mean 'builtin'?"),
        ("nope:build", "there is no module nope"),
        ("nope :build", "nor a MODULE:FUNCTION"),
        ("hf:nope", "'hf:nope' is no repository"),
        ("vgg16", "get https://"),
    ],
)
def test_a_dry_run_tells_of_networks_that_are_not_there(tmp_path, dna, monkeypatch, network, said):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    write_image(tmp_path / "images" / "a.png", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(
        f"extractors: [{{name: builtin}}, {{name: x, network: '{network}'}}]\ndatasets: [{{name: a, uri: images}}]\n"
    )
    found = dna("run", "--dry-run", "--json")
    assert (found.code, found.json[0]["n_to_extract"]) == (3, {"builtin": 1, "x": 1})
    assert found.tells(said)


def test_a_dry_run_fetches_nothing_and_says_what_a_run_would(tmp_path, dna, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    write_image(tmp_path / "images" / "a.png", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(
        "extractors: [{name: x, network: 'hf:org/repo'}]\ndatasets: [{name: a, uri: images}]\n"
    )
    before = snapshot(tmp_path)
    found = dna("run", "--dry-run")
    assert found.code == 0
    assert found.tells("extractor x: its weights are not on this machine; a run fetches them first")
    assert snapshot(tmp_path) == before


def test_a_dry_run_tells_one_datasets_problem_and_goes_on(project, settings, dna):
    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv, columns: [colour]}\n")
    (project / "labels.csv").write_text("path,label\n0.png,cat\n")
    found = {row["name"]: row["problem"] for row in dna("run", "--dry-run", "--json").json}
    assert "no column colour" in found["d1"]
    assert found["d0"] is None


def test_a_file_that_could_not_be_read_is_read_again_at_the_next_run(project, dna, monkeypatch):
    """Its size and time are those of before: only reading it shows that it can be read now."""
    write_image(project / "d0" / "locked.png", 7)
    os.utime(project / "d0" / "locked.png", (LONG_AGO, LONG_AGO))
    read = FolderSource.read

    def refuse(self, path):
        if path == b"locked.png":
            raise PermissionError(13, "Permission denied")
        return read(self, path)

    with monkeypatch.context() as locked:
        locked.setattr(FolderSource, "read", refuse)
        done = refresh(ProjectFolder(project), ProjectFolder(project).file.dataset("d0"))
    assert [row.reason for row in done.manifest.quarantined] == ["cannot be read"]
    (found,) = dna("run", "d0", "--dry-run", "--json").json
    assert (found["state"], found["n_images"]) == ("changed", 11)


def test_metadata_that_is_no_longer_asked_for_is_gone(project, settings):
    (project / "labels.csv").write_text("path,label\n0.png,cat\n")

    def label_of_the_first():
        done = refresh(ProjectFolder(project), ProjectFolder(project).file.dataset("d1"))
        return done.manifest.rows[0].metadata

    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv}\n")
    assert label_of_the_first() == {"label": "cat"}
    settings("    metadata: {uri: labels.csv}\n", "")
    assert label_of_the_first() is None


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        (["0.png", "gone.png", "b.png"], "2 of 3 rows of labels.csv name no image here, such as gone.png"),
        (
            ["d1/0.png", "d1/1.png"],
            "no row of labels.csv names an image here: its column path has d1/0.png, where an image is called 0.png",
        ),
        (["0.png"], ""),
    ],
)
def test_rows_of_a_table_that_name_no_image_are_told(project, settings, dna, rows, remark):
    (project / "labels.csv").write_text("path,colour\n" + "".join(f"{path},red\n" for path in rows))
    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv}\n")
    for command in (["scan", "d1"], ["run", "--dry-run", "d1"], ["run", "d1"], ["run", "d1"]):
        said = dna(*command, "--json").json
        assert (said if isinstance(said, list) else said["datasets"])[0]["remark"] == remark
        assert (f"d1: {remark}" in dna(*command).err) == bool(remark)


def test_an_interrupted_command_says_that_it_can_go_on(project, dna, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("dna_pipelines.cli.run.make_plan", interrupt)
    said = dna("run")
    assert said.code == 130
    assert "run again to go on" in said.err


def test_calibrating_asks_first(project, dna):
    before = snapshot(project)
    said = dna("calibrate", "builtin", answer="n\n")
    assert said.code == 1
    assert snapshot(project) == before


def test_calibrating_anew_makes_every_dna_missing_where_the_ranges_moved(changed, dna):
    assert dna("calibrate", "builtin", "--yes").code == 1
    (changed / "elsewhere").rename(changed / "d2")
    said = dna("calibrate", "builtin", "--yes")
    assert said.code == 0
    assert "measured the activation ranges" in said.out
    states = {row["dataset"]: row["dna"]["builtin"] for row in dna("status", "--json").json}
    assert states == {"d0": "missing", "d1": "missing", "d2": "missing", "d3": "empty"}
