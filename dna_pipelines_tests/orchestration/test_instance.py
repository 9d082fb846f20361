"""The instance of runs in this process: its databases wait for the disk little, and no others do."""

import contextlib
import os
import resource
import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import psutil
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from dna_pipelines.errors import UserError
from dna_pipelines.orchestration import instance as under_test
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.service import serve
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines_tests.raising import raises

NORMAL, FULL = 1, 2
KEY = dg.AssetKey("something")


@pytest.fixture
def project(tmp_path: Path) -> ProjectFolder:
    return ProjectFolder(tmp_path)


def synchronous(database: Path) -> int:
    with create_engine(f"sqlite:///{database}").connect() as connection:
        return connection.execute(text("PRAGMA synchronous")).scalar_one()


def held_below(folder: Path) -> set[str]:
    return {file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(folder)}


def materialize(instance: dg.DagsterInstance, times: int) -> None:
    @dg.asset(key=KEY)
    def something() -> None:
        pass

    for _ in range(times):
        assert dg.materialize([something], instance=instance).success


def test_databases_wait_less_for_the_disk_while_it_is_open_and_those_of_others_as_before(
    project: ProjectFolder, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    with open_instance(project):
        mine = project.dagster_home / "history" / "runs.db"
        assert synchronous(mine) == NORMAL
        assert synchronous(other) == FULL
        with sqlite3.connect(mine) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert synchronous(mine) == FULL


def test_events_are_stored_for_the_next_process_that_opens_it(project: ProjectFolder) -> None:
    with open_instance(project) as instance:
        materialize(instance, 3)
    with dg.DagsterInstance.from_config(str(project.dagster_home)) as plain:
        assert len(plain.fetch_materializations(KEY, limit=10).records) == 3
        assert all(run.is_success for run in plain.get_runs())


def test_no_more_files_stay_open_than_said_and_none_in_the_end(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_MOST_HELD", 3)
    with open_instance(project) as instance:
        materialize(instance, 6)
        databases = {path for path in held_below(project.dagster_home) if path.endswith(".db")}
        assert 0 < len(databases) <= 3
    assert held_below(project.dagster_home) == set()
    assert not list(project.dagster_home.rglob("*-wal"))


def test_migrations_are_read_once_however_many_databases_are_made(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(project) as instance:
        materialize(instance, 1)
    shutil.rmtree(project.dagster_home)

    def read(_: ScriptDirectory) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(ScriptDirectory, "_load_revisions", read)
    with open_instance(project) as instance:
        materialize(instance, 2)


def test_what_a_step_raises_comes_out_of_it(project: ProjectFolder) -> None:
    """Dagster's own error has it as its cause, and is its context: a circle."""
    defect = RuntimeError("a defect of the step, not of the disk")

    @dg.asset
    def broken() -> None:
        raise defect

    with pytest.raises(RuntimeError) as caught, open_instance(project) as instance:
        dg.materialize([broken], instance=instance)
    assert caught.value is defect


@pytest.mark.parametrize("name", ["plain", "data [v2]", "star*"])
def test_settings_apply_wherever_the_project_lies(tmp_path: Path, name: str) -> None:
    """Dagster takes the path of its settings for a pattern; its defaults would send telemetry."""
    (tmp_path / name).mkdir()
    with open_instance(ProjectFolder(tmp_path / name)) as instance:
        assert instance.get_settings("telemetry") == {"enabled": False}
        materialize(instance, 1)


def test_a_question_mark_in_the_path_is_refused(tmp_path: Path) -> None:
    """Dagster's address of a database would end there."""
    with raises(UserError, "dagster.home-question-mark"), open_instance(ProjectFolder(tmp_path / "what?")):
        pass


@pytest.mark.parametrize("name", ["data [v2]", "star*"])
def test_the_daemon_is_refused_where_it_would_not_find_its_settings(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with raises(UserError, "dagster.home-pattern"):
        serve(ProjectFolder(tmp_path / name), "127.0.0.1", 1, lambda: None)


def test_too_few_open_files_are_no_full_disk(project: ProjectFolder) -> None:
    with open_instance(project):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    handles: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 64, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                handles.append(os.open(os.devnull, os.O_RDONLY))
        with raises(UserError, "dagster.too-many-files", path=str(project.dagster_home)), open_instance(project):
            pass
    finally:
        for handle in handles:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
