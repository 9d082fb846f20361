"""A lake that version 0.1 wrote is read unchanged: the same numbers, and nothing is recomputed.

The project was made by the last commit before the rooms were rebuilt: four datasets, two versions of two of them, a
slice, a sample of a far larger dataset, a selection, significance results and neuron distances.
"""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.cli.conftest import invoke

HERE = Path(__file__).parent / "lake_0.1"
EXPECTED = json.loads((HERE / "expected.json").read_text())
WALL_CLOCK = {"duration_s"}
PROSE = {"in_words", "why_not", "doubts"}
"""Sentences of `--json`, whose wording may change; what they say is compared by the other values."""

RELATIVE = {"fd": 1e-7, "share": 1e-4, "contribution_bins": 1e-4}
"""How far figures may be from those of another model of CPU, where that is more than 1e-9.

FD takes roots of eigenvalues near 0. Shares and contributions are of images that are extracted again, of which a value
may then be in the adjacent bin.
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake-0.1")
    with tarfile.open(HERE / "project.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "project"


def differences(old, new, where=""):
    """The values that were removed or changed; added values are not differences."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            if name in WALL_CLOCK or (name in PROSE and name in new):
                continue
            if name not in new:
                yield f"{where}.{name} is missing"
            else:
                yield from differences(value, new[name], f"{where}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{where}[{index}]")
    elif isinstance(old, float) and isinstance(new, float):
        if new != pytest.approx(old, rel=RELATIVE.get(where.rpartition(".")[2], 1e-9), abs=1e-12):
            yield f"{where}: {old} is now {new}"
    elif old != new:
        yield f"{where}: {old!r} is now {new!r}"


def hash_of(values):
    """A hash of a column; floats count to 9 digits, because DuckDB's threads add them in any order."""
    rounded = [float(f"{value:.9g}") if isinstance(value, float) else value for value in values]
    return hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", [name for name in EXPECTED["commands"] if name != "run"])
def test_commands_give_the_same_numbers(root, name):
    case = EXPECTED["commands"][name]
    done = invoke("--root", root, *case["arguments"], "--json")
    assert list(differences(case["out"], done.json)) == []


@pytest.mark.parametrize("name", EXPECTED["views"])
def test_views_give_the_same_rows(root, name):
    wanted = EXPECTED["views"][name]
    columns = ", ".join(f'"{column}"' for column in wanted["columns"]) or "*"
    rows = invoke("--root", root, "sql", f"SELECT {columns} FROM {name} ORDER BY ALL", "--json").json
    assert len(rows) == wanted["n_rows"]
    assert {column: hash_of([row[column] for row in rows]) for column in wanted["columns"]} == wanted["columns"]


def test_a_run_computes_nothing(root):
    lake = ProjectFolder(root).lake.layout.root
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*.parquet")}
    done = invoke("--root", root, "run", "--json")
    # The decoding rules changed since, so each dataset is taken in again, with the images that it had.
    others = ("state", "why", "occasion")
    changed = [
        line
        for line in differences(EXPECTED["commands"]["run"]["out"], done.json)
        if line.partition(": ")[0].rpartition(".")[2] not in others
    ]
    assert changed == []
    assert not any(any(row["changes"].values()) for row in done.json["datasets"])
    written = {path for path in lake.rglob("*.parquet") if before.get(path) != path.stat().st_mtime_ns}
    assert {path.relative_to(lake).parts[0] for path in written} <= {"current", "datasets"}
