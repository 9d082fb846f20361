"""Which project a command is about, the tools, and errors of use."""

import os
import re
import subprocess
import sys

import pytest

from dna_pipelines import __version__
from dna_pipelines_tests.cli.conftest import snapshot

COMMANDS = (
    "add",
    "calibrate",
    "compare",
    "doctor",
    "extractors",
    "list",
    "matrix",
    "remove",
    "run",
    "scan",
    "sql",
    "status",
    "ui",
)


def names(said):
    return [row["dataset"] for row in said.json]


@pytest.fixture
def other(tmp_path):
    """A second project, with one dataset."""
    (tmp_path / "other" / "data").mkdir(parents=True)
    (tmp_path / "other" / "data" / "datasets.yaml").write_text("datasets:\n  - {name: only, uri: x}\n")
    return tmp_path / "other"


def test_the_nearest_folder_above_is_the_project(project, dna, monkeypatch):
    (project / "d0" / "deep").mkdir()
    monkeypatch.chdir(project / "d0" / "deep")
    assert names(dna("list", "--json")) == ["d0", "d1", "d2"]


def test_the_environment_names_a_project(project, other, dna, monkeypatch):
    monkeypatch.setenv("DNA_ROOT", str(other))
    assert names(dna("list", "--json")) == ["only"]


def test_an_option_beats_the_environment(project, other, dna, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DNA_ROOT", str(other))
    assert names(dna("--root", project, "list", "--json")) == ["d0", "d1", "d2"]
    assert names(dna("--root", os.path.relpath(project), "list", "--json")) == ["d0", "d1", "d2"]


@pytest.mark.parametrize("root", ["nowhere", "a-file"])
def test_a_root_that_is_no_folder_is_a_message(tmp_path, dna, monkeypatch, root):
    (tmp_path / "a-file").write_text("")
    said = dna("--root", root, "list")
    assert said.code == 1
    assert said.error == "config.no-folder"
    assert said.names(root)
    monkeypatch.setenv("DNA_ROOT", root)
    assert dna("list").code == 1


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["run"],
        ["status"],
        ["scan"],
        ["matrix"],
        ["compare", "a", "b"],
        ["sql", "FROM images"],
        ["remove", "a"],
    ],
)
def test_without_a_project_the_message_names_the_missing_file(tmp_path, dna, command):
    said = dna(*command)
    assert said.code == 1
    assert said.error == "config.no-file"
    assert said.names(tmp_path / "data" / "datasets.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["run", "--fast"],
        ["compare", "d0"],
        ["add", "x"],
        ["matrix", "--metric", "l2"],
        ["sql", "FROM images", "--limit", "0"],
    ],
)
def test_a_command_that_is_not_understood_exits_with_2(project, dna, arguments):
    said = dna(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err


@pytest.mark.parametrize("command", [["run", "d9"], ["scan", "d9"], ["remove", "d9"]])
def test_an_unknown_dataset_exits_with_1(project, dna, command):
    said = dna(*command)
    assert said.code == 1
    assert said.error == "name.dataset"
    assert said.names("d9")


def test_an_unknown_extractor_exits_with_1(project, dna):
    for command in (["calibrate", "nope", "--yes"], ["matrix", "--extractor", "nope"]):
        said = dna(*command)
        assert said.code == 1
        assert said.error == "name.extractor"
        assert said.names("nope", "builtin")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(dna, command):
    said = dna(command, "--help")
    assert said.code == 0
    assert f"dna {command}" in said.out
    assert command in dna("--help").out


def test_the_version_is_shown(dna):
    said = dna("--version")
    assert said.code == 0
    assert said.out.split() == ["dna_pipelines", __version__]


def test_a_sound_project_is_well(project, dna):
    said = dna("doctor")
    assert said.code == 0
    assert "BAD" not in said.out
    findings = dna("doctor", "--json").json
    assert all(row["ok"] for row in findings)
    assert len(findings) == len(said.out.splitlines()) - 1  # the first line sums them up


def test_the_doctor_finds_a_missing_place_and_goes_on(project, dna):
    (project / "d1").rename(project / "elsewhere")
    said = dna("doctor", "--json")
    assert said.code == 1
    (bad,) = [row for row in said.json if not row["ok"]]
    assert "d1" in bad["what"]
    assert any("builtin" in row["what"] for row in said.json)


def test_the_doctor_leaves_no_trace(project, dna):
    before = {path: facts for path, facts in snapshot(project).items() if facts[1] is not None}
    dna("doctor")
    assert {path: facts for path, facts in snapshot(project).items() if facts[1] is not None} == before


def test_the_doctor_creates_nothing_in_an_empty_folder(tmp_path, dna):
    said = dna("doctor", "--json")
    assert said.code == 1
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "images").mkdir()
    assert dna("add", "a", "images").code == 0
    assert dna("doctor").code == 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["datasets.yaml"]


def test_the_web_page_needs_a_project(tmp_path, dna):
    said = dna("ui")
    assert (said.code, said.error) == (1, "config.no-file")
    assert "http://" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        *(
            (command, "datasets: [\n", "config.not-yaml")
            for command in ("status", "run", "compare d0 d1", "matrix", "list", "scan", "doctor")
        ),
        ("run", "# \x07\n", "config.not-yaml"),
        ("run", "- a\n", "config.not-a-mapping"),
        ("run", "datsets: []\n", "config.unknown-key"),
        ("compare d0 d1", "extractors: []\n", "config.no-extractors"),
        ("matrix", "extractors: []\n", "config.no-extractors"),
    ],
)
def test_a_wrong_datasets_file_is_an_error_that_names_the_line(project, dna, command, text, code):
    (project / "data" / "datasets.yaml").write_text(text)
    said = dna(*command.split())
    assert said.code == 1
    # The doctor goes on, and lists the error among its findings.
    assert said.error is None if command == "doctor" else said.error == code
    assert re.search(r"datasets\.yaml, line \d+", said.out + said.err)


@pytest.mark.parametrize(
    ("marker", "code"),
    [
        ("", "lake.damaged"),
        ("not json", "lake.damaged"),
        ("[]", "lake.damaged"),
        ('{"format": 99}', "lake.format"),
    ],
)
def test_a_damaged_lake_is_an_error(project, dna, marker, code):
    (project / "data" / "lake" / "lake.json").write_text(marker)
    for command in (["status"], ["run"]):
        said = dna(*command)
        assert said.code == 1
        assert said.error == code
        assert said.names(project / "data" / "lake")


def test_a_damaged_commit_is_a_message_that_names_the_file(project, dna):
    (project / "data" / "lake" / "datasets" / "d0" / "commits" / "00000001.json").write_text("{")
    status, compared = dna("status"), dna("compare", "d0", "d1")
    assert (status.code, compared.code, compared.error) == (3, 1, "lake.damaged")
    assert status.names("00000001.json")
    assert compared.names("00000001.json")


def test_a_message_to_a_file_is_one_line(tmp_path, dna):
    """Where standard error is a file, a path must not be cut in two."""
    root = tmp_path / ("long-" * 30)
    root.mkdir()
    said = dna("--root", root, "list")
    assert str(root / "data" / "datasets.yaml") in said.err


COMPLETE = """
import sys
import dna_pipelines.cli.main
from dna_pipelines.cli.app import app
try:
    app(prog_name="dna")
finally:
    print(sorted({"torch", "dagster", "numba", "matplotlib"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("dna compare ", ["d0", "d1", "d2"]),
        ("dna run d1", ["d1"]),
        ("dna ma", ["map", "matrix"]),
        ("dna matrix --extractor ", ["builtin"]),
    ],
)
def test_bash_completes_commands_and_names_without_heavy_imports(project, words, completed):
    typed = {"_DNA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE], env=os.environ | typed, capture_output=True, text=True, check=False
    )
    assert sorted(done.stdout.split()) == completed
    assert done.stderr.splitlines()[-1] == "[]"
