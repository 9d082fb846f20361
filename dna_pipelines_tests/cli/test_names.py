"""What a user types as a name may be anything, and a terminal may show ASCII alone."""

import json
import os
import subprocess
import sys

import pytest

COMMANDS = [
    ["compare", "NAME", "d1"],
    ["compare", "d0", "d1", "--extractor", "NAME"],
    ["compare", "d0", "d1", "--selection", "NAME"],
    ["inspect", "NAME"],
    ["images", "NAME", "d1"],
    ["duplicates", "NAME"],
    ["run", "NAME"],
    ["scan", "NAME"],
    ["remove", "NAME"],
    ["calibrate", "NAME", "--yes"],
    ["export", "NAME", "out.json"],
    ["sql", "--about", "NAME"],
    ["select", "show", "NAME"],
    ["select", "remove", "NAME"],
]
NAMES = [
    "d0/0.png",
    "../d0/0.png",
    "/etc/passwd",
    "/",
    "..",
    "x\0y",
    "x\ny",
    "n" * 300,
    "d0/0.png@1",
    "[/red]",
    " ",
    "*",
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_path_for_a_name_is_an_error_with_a_code(project, dna, command):
    refused(project, dna, command, str(project / "d0" / "0.png"))


def test_nonsense_for_a_name_is_an_error_with_a_code(project, dna):
    for name in NAMES:
        refused(project, dna, ["compare", "NAME", "d1"], name)
        refused(project, dna, ["select", "show", "NAME"], name)


def refused(project, dna, command, name):
    before = sorted(project.rglob("*"))
    said = dna(*[part.replace("NAME", name) for part in command])
    assert said.code == 1
    assert said.error
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    "locale",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.campaign),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "SELECT 'ü – 猫' AS x, NULL AS y"],
        ["sql", "FROM nö"],
        ["sql", "SELECT 'ü – 猫' AS x, NULL AS y", "--json"],
        ["compare", "dü", "d1"],
        ["list"],
        ["--help"],
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_terminal_without_unicode_shows_escapes(project, arguments, locale):
    command = [sys.executable, "-m", "dna_pipelines.cli.main", *arguments]
    environment = {**os.environ, "PYTHONCOERCECLOCALE": "0", **locale}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert b"Traceback" not in done.stderr
    done.stdout.decode("ascii")
    assert done.returncode == (1 if {"FROM nö", "dü"} & set(arguments) else 0)
    if "--json" in arguments:
        assert json.loads(done.stdout) == [{"x": "ü – 猫", "y": None}]
