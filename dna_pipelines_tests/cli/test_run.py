"""`dna run`: what it computes, what it reports, and what it leaves alone."""

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


def test_the_first_run_reports_what_it_computed(first_run):
    said = first_run[1]
    reports = by_name(said)
    assert list(reports) == ["d0", "d1", "d2"]
    for report in reports.values():
        assert (report["state"], report["n_images"], report["n_quarantined"]) == ("new", 10, 0)
        assert work(report) == (10, 1, 0)
        assert {what: n for what, n in report["changes"].items() if n} == {"added": 10}
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


def test_a_location_that_vanished_is_reported_and_the_others_are_updated(changed_run):
    said = changed_run[1]
    reports = by_name(said)
    assert said.code == 3
    assert "d2" in reports["d2"]["problem"]
    assert reports["d2"]["problem_kind"] == "failed"
    assert [reports[name]["problem"] for name in ("d0", "d1", "d3")] == [None] * 3
    assert work(reports["d0"]) == (1, 1, 1)
    assert (reports["d0"]["n_images"], reports["d0"]["changes"]["added"]) == (11, 1)


def test_a_broken_image_is_left_out_and_counted(changed_run):
    report = by_name(changed_run[1])["d1"]
    assert (report["n_images"], report["n_quarantined"]) == (10, 1)
    assert {what: n for what, n in report["changes"].items() if n} == {"quarantined": 1}
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


def test_a_vanished_location_is_reported_even_if_there_is_nothing_else_to_do(project, dna):
    (project / "d2").rename(project / "elsewhere")
    said = dna("run")
    assert said.code == 3
    assert said.names("d2: ", project / "d2")


@pytest.mark.parametrize("command", ["run", "scan", "list", "profile"])
def test_without_datasets_there_is_an_error(project, dna, command):
    (project / "data" / "datasets.yaml").write_text("datasets: []\n")
    said = dna(command)
    assert (said.code, said.error) == (1, "cli.no-datasets")


def test_one_new_dataset_of_two_is_one_pair(project, dna):
    (project / "d3").mkdir()
    write_image(project / "d3" / "new.png", 7)
    for name in ("d1", "d2"):
        dna("remove", name)
    dna("add", "d3", "d3")
    assert dna("run", "--json").json["pairs"]["builtin"]["n_pairs_computed"] == 1


@pytest.mark.parametrize(("missing", "code"), [(["d2"], 3), (["d0", "d1", "d2"], 1)])
def test_a_missing_location_gives_the_same_exit_code_everywhere(project, dna, missing, code):
    for name in missing:
        (project / name).rename(project / f"{name}-elsewhere")
    assert {command: dna(*command.split()).code for command in ("run", "run --dry-run", "scan")} == {
        "run": code,
        "run --dry-run": code,
        "scan": code,
    }


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
    assert found["d0"]["occasion"] == ""
    assert found["d1"]["changes"]["removed"] == 1


@pytest.mark.parametrize(
    ("setting", "changes", "n_extracted"),
    [
        ("group_by: 'regex:([0-4])'", {"regrouped": 5}, 10),
        ("shard_size: 7", {}, 0),
    ],
)
def test_a_change_of_settings_is_reported_as_such(settings, dna, setting, changes, n_extracted):
    settings("uri: d1\n", f"uri: d1\n    {setting}\n")
    (planned,) = dna("run", "d1", "--dry-run", "--json").json
    assert {what: n for what, n in planned["changes"].items() if n} == changes
    assert planned["occasion"]
    report = by_name(dna("run", "d1", "--json"))["d1"]
    assert {what: n for what, n in report["changes"].items() if n} == changes
    assert (report["state"], work(report)[0]) == ("changed", n_extracted)


def test_touched_files_are_no_changed_images(project, dna):
    os.utime(project / "d0" / "0.png", (LONG_AGO + 1, LONG_AGO + 1))
    (planned,) = dna("run", "d0", "--dry-run", "--json").json
    assert (planned["state"], any(planned["changes"].values())) == ("changed", False)
    assert planned["occasion"]
    report = by_name(dna("run", "d0", "--json"))["d0"]
    assert (report["state"], report["why"], work(report)[0]) == ("changed", planned["occasion"], 0)


def test_a_dry_run_of_a_new_project_makes_no_lake(tmp_path, dna):
    write_image(tmp_path / "images" / "a.png", 1)
    dna("add", "a", "images")
    before = snapshot(tmp_path)
    assert dna("run", "--dry-run").code == 0
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("local:nope", ["nope", "config.json"]),
        ("builtim", ["'builtim'", "'builtin'"]),
        ("nope:build", ["nope"]),
        ("nope :build", ["nope :build"]),
        ("hf:nope", ["hf:nope"]),
        ("vgg16", ["https://", "vgg16.pth"]),
    ],
)
def test_a_dry_run_reports_missing_networks(tmp_path, dna, monkeypatch, network, names):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    write_image(tmp_path / "images" / "a.png", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(
        f"extractors: [{{name: builtin}}, {{name: x, network: '{network}'}}]\ndatasets: [{{name: a, uri: images}}]\n"
    )
    found = dna("run", "--dry-run", "--json")
    assert (found.code, found.json[0]["n_to_extract"]) == (3, {"builtin": 1, "x": 1})
    assert found.names("extractor x: ", *names)


def test_a_dry_run_fetches_nothing_and_reports_what_a_run_would(tmp_path, dna, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    write_image(tmp_path / "images" / "a.png", 1)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(
        "extractors: [{name: x, network: 'hf:org/repo'}]\ndatasets: [{name: a, uri: images}]\n"
    )
    before = snapshot(tmp_path)
    found = dna("run", "--dry-run")
    assert found.code == 0
    assert found.names("extractor x: ")
    assert snapshot(tmp_path) == before


def test_a_dry_run_reports_one_datasets_problem_and_goes_on(project, settings, dna):
    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv, columns: [colour]}\n")
    (project / "labels.csv").write_text("path,label\n0.png,cat\n")
    found = {row["name"]: row["problem"] for row in dna("run", "--dry-run", "--json").json}
    assert "colour" in found["d1"]
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
    ("rows", "names"),
    [
        (["0.png", "gone.png", "b.png"], ["2 of 3", "labels.csv", "gone.png"]),
        (["d1/0.png", "d1/1.png"], ["labels.csv", "path", "d1/0.png"]),
        (["0.png"], []),
    ],
)
def test_rows_of_a_table_that_name_no_image_are_reported(project, settings, dna, rows, names):
    (project / "labels.csv").write_text("path,colour\n" + "".join(f"{path},red\n" for path in rows))
    settings("uri: d1\n", "uri: d1\n    metadata: {uri: labels.csv}\n")
    for command in (["scan", "d1"], ["run", "--dry-run", "d1"], ["run", "d1"], ["run", "d1"]):
        said = dna(*command, "--json").json
        remark = (said if isinstance(said, list) else said["datasets"])[0]["remark"]
        assert bool(remark) == bool(names)
        assert all(name in remark for name in names)
        assert (f"d1: {remark}" in dna(*command).err) == bool(names)


def test_an_interrupted_command_exits_with_130(project, dna, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("dna_pipelines.update.plan.make_plan", interrupt)
    said = dna("run")
    assert (said.code, said.out, said.error) == (130, "", None)


def test_calibrating_asks_first(project, dna):
    before = snapshot(project)
    said = dna("calibrate", "builtin", answer="n\n")
    assert said.code == 1
    assert snapshot(project) == before


def test_calibrating_again_makes_every_dna_missing_where_the_ranges_moved(changed, dna):
    assert dna("calibrate", "builtin", "--yes").code == 1
    (changed / "elsewhere").rename(changed / "d2")
    assert dna("calibrate", "builtin", "--yes", "--json").json == {"extractor": "builtin", "on": []}
    states = {row["dataset"]: row["dna_states"]["builtin"] for row in dna("status", "--json").json}
    assert states == {"d0": "missing", "d1": "missing", "d2": "missing", "d3": "empty"}
