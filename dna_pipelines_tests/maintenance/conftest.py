"""Projects that get new versions, and what their lakes have of them."""

import os
import shutil
import time

import pytest

from dna_pipelines.maintenance.doctor import examine
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import ensure_ranges
from dna_pipelines.update.dnas import find_dna
from dna_pipelines.update.fingerprint import fit
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.pairs import update_pairs
from dna_pipelines_tests.toy import toy_project, write_image

START_S = 1_700_000_000


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """`one` of two full shards, `two` of one."""
    images = {f"{number:03d}.png": number for number in range(12)}
    others = {f"{number:03d}.png": number for number in range(50, 56)}
    project = toy_project(tmp_path_factory.mktemp("made"), {"one": images, "two": others}, "shard_size: 6")
    update(project)
    return project.root


@pytest.fixture
def project(made, tmp_path):
    return copy_of(made, tmp_path)


def copy_of(root, tmp_path):
    """A project that a test may change."""
    return ProjectFolder(shutil.copytree(root, tmp_path / "project"))


@pytest.fixture
def clock(monkeypatch):
    """See `clock_with`."""
    return clock_with(monkeypatch)


def clock_with(monkeypatch):
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


@pytest.fixture(scope="session")
def made_grouped(tmp_path_factory):
    images = {f"{number:03d}.png": number for number in range(12)}
    root = tmp_path_factory.mktemp("grouped")
    project = toy_project(root, {"one": images}, "shard_size: 6\ngroup_by: 'regex:(.)\\.png'")
    with pytest.MonkeyPatch.context() as patch:
        clock_with(patch)(None, 0)
        update(project)
    return root


@pytest.fixture
def grouped(made_grouped, tmp_path):
    """Groups are the last digits of the names."""
    return copy_of(made_grouped, tmp_path)


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
