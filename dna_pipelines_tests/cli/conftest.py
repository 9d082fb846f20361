"""The command line in this process, and one small project that was really run."""

import json
import os
import re
import shutil
import time
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import dna_pipelines.cli.main  # noqa: F401 (its import registers the commands)
from dna_pipelines.cli.app import app

LONG_AGO = 1_700_000_000


class Said(NamedTuple):
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The code of the error that the command failed with, None where it wrote none."""
        found = re.search(r"^error\[([a-z.-]+)\]: ", self.err, re.MULTILINE)
        return found[1] if found else None

    @property
    def facts(self):
        """The facts of that error, of a command with `--json`."""
        error = self.json["error"]
        assert error["code"] == self.error
        assert error["message"] in self.err
        return error["facts"]

    def names(self, *things):
        """Whether the names and numbers are on standard error."""
        return all(str(thing) in self.err for thing in things)


def invoke(*arguments, answer=None):
    """Run a command; an error that would print a stack trace is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    return Said(result.exit_code, result.stdout, result.stderr)


def write_image(path, seed, brightness=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, brightness + 1, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def snapshot(folder):
    """Every file below a folder, with its size and time."""
    found = {}
    for path in folder.rglob("*"):
        status = path.stat()
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_size if path.is_file() else None)
    return found


@pytest.fixture(autouse=True)
def _no_other_project(monkeypatch, tmp_path):
    monkeypatch.delenv("DNA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dna():
    return invoke


def made_once(tmp_path_factory, name, make):
    """A folder that the first test process to ask makes, and what making it said. The others wait for it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.json"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    else:
        said = None
        try:
            said = make(folder)
        finally:
            draft = done.with_suffix(".draft")
            draft.write_text(json.dumps(said))
            draft.rename(done)
    said = json.loads(done.read_text())
    assert said, f"making {name} failed"
    return folder, Said(*said)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory):
    """The folder of a project of three datasets that was run once, and what the run said."""

    def make(root):
        for number in range(3):
            for image in range(10):
                path = root / f"d{number}" / f"{image}.png"
                write_image(path, 100 * number + image, 255 // (number + 1))
                os.utime(path, (LONG_AGO, LONG_AGO))
        entries = "".join(f"  - name: d{number}\n    uri: d{number}\n" for number in range(3))
        (root / "data").mkdir()
        (root / "data" / "datasets.yaml").write_text(f"workers: 2\ndatasets:\n{entries}")
        return invoke("--root", root, "run", "--json")

    return made_once(tmp_path_factory, "first-run", make)


@pytest.fixture(scope="session")
def changed_run(first_run, tmp_path_factory):
    """The project run again: d0 has a new image, d1 a broken one, d2's place is gone, d3 is new and empty."""

    def make(root):
        shutil.copytree(first_run[0], root, dirs_exist_ok=True)
        write_image(root / "d0" / "new.png", 999, 60)
        (root / "d1" / "broken.png").write_bytes((root / "d1" / "0.png").read_bytes()[:500])
        (root / "d2").rename(root / "elsewhere")
        (root / "d3").mkdir()
        file = root / "data" / "datasets.yaml"
        file.write_text(file.read_text() + "  - name: d3\n    uri: d3\n")
        return invoke("--root", root, "run", "--json")

    return made_once(tmp_path_factory, "changed-run", make)


@pytest.fixture
def project(first_run, tmp_path, monkeypatch):
    """A copy of the project that was run; the working directory is in it."""
    return _copied(first_run[0], tmp_path, monkeypatch)


@pytest.fixture
def changed(changed_run, tmp_path, monkeypatch):
    """A copy of the project that was run, changed and run again; the working directory is in it."""
    return _copied(changed_run[0], tmp_path, monkeypatch)


def _copied(folder, tmp_path, monkeypatch):
    root = tmp_path / "project"
    shutil.copytree(folder, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def settings(project):
    """Rewrite the datasets file."""

    def rewrite(old, new):
        file = project / "data" / "datasets.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return rewrite
