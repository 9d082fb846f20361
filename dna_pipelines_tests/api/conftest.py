"""One small project that was updated once, by the API."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dna_pipelines as dna

LONG_AGO = 1_700_000_000


def pixels(seed, low=0, high=256, edge=32):
    """(edge, edge, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(low, high, (edge, edge, 3), dtype=np.uint8)


def write_folder(folder, n, seed, low=0, high=256):
    folder.mkdir(parents=True)
    for number in range(n):
        path = folder / f"{number}.png"
        Image.fromarray(pixels(seed + number, low, high)).save(path)
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture(autouse=True)
def _no_other_project(monkeypatch, tmp_path):
    monkeypatch.delenv("DNA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _updated(tmp_path_factory):
    root = tmp_path_factory.mktemp("updated")
    for number, (low, high) in enumerate([(0, 256), (0, 128), (100, 256)]):
        write_folder(root / f"d{number}", 40, 1000 * number, low, high)
    (root / "d0" / "broken.png").write_bytes((root / "d0" / "0.png").read_bytes()[:300])
    project = dna.create_project(root)
    for number in range(3):
        project.add(f"d{number}", root / f"d{number}")
    report = project.update()
    assert report.ok, report.problems
    return root


@pytest.fixture
def project(_updated, tmp_path):
    """A copy of the project that was updated."""
    root = tmp_path / "project"
    shutil.copytree(_updated, root)
    return dna.open_project(Path(root))
