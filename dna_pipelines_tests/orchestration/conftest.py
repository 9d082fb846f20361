"""A project that is up to date, and a daemon over it."""

import shutil

import pytest

from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.orchestration.daemon import Daemon, open_instance
from dna_pipelines_tests.toy import toy_project


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of three datasets that is up to date."""
    datasets = {
        name: {f"{n}.png": n for n in range(start, start + 5)}
        for name, start in (("one", 0), ("two", 20), ("three", 40))
    }
    project = toy_project(tmp_path_factory.mktemp("made"), datasets)
    with open_instance(project) as instance:
        Daemon(project, instance).news()
    return project.root


@pytest.fixture
def daemon(made, tmp_path):
    project = ProjectFolder(shutil.copytree(made, tmp_path / "project"))
    with open_instance(project) as instance:
        yield Daemon(project, instance)
