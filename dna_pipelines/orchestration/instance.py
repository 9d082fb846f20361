"""The project's Dagster instance, kept in `data/dagster/`."""

import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from dna_pipelines.errors import DnaError, UserError
from dna_pipelines.orchestration.dagster_private import instance_of_this_process, migrations_read_once
from dna_pipelines.project.project import ProjectFolder

_MOST_HELD = 8
"""Databases that are held open: those of the instance, and of the runs under way."""


def prepare_home(project: ProjectFolder) -> Path:
    """Make DAGSTER_HOME, with its settings and databases; returns where it is.

    It appears whole or not at all: a database of which only some tables exist, after a kill or with two
    processes at once, could never be opened again.

    Raises:
        UserError: when it cannot be written.
    """
    home = project.dagster_home
    if (home / "dagster.yaml").exists():
        return home
    draft = home.with_name(f".{home.name}.{uuid.uuid4().hex[:12]}")
    try:
        with _trouble_told(home):
            draft.mkdir(parents=True)
            with as_file(files("dna_pipelines.orchestration").joinpath("dagster.yaml")) as template:
                shutil.copyfile(template, draft / "dagster.yaml")
            with migrations_read_once(), _held_open(draft), dg.DagsterInstance.from_config(str(draft)):
                pass
            try:
                draft.rename(home)
            except OSError:
                # Another process may have been faster.
                if not (home / "dagster.yaml").exists():
                    raise
    finally:
        # What is left would keep a full disk full.
        shutil.rmtree(draft, ignore_errors=True)
    return home


@contextmanager
def open_instance(project: ProjectFolder) -> Iterator[dg.DagsterInstance]:
    """The instance, for runs inside this process: what steps print is not captured but shown.

    Raises:
        UserError: when its databases cannot be opened or written, also later.
    """
    home = prepare_home(project)
    with migrations_read_once(), _trouble_told(home), _held_open(home), instance_of_this_process(home) as instance:
        yield instance


@contextmanager
def _trouble_told(home: Path) -> Iterator[None]:
    """Say so where a full disk or a read-only folder is what stops Dagster."""
    try:
        yield
    except DnaError:
        raise
    except Exception as error:
        if said := _trouble(error, home.parent):
            raise UserError(
                f"{home} cannot be written: {said}; make room on its disk or the folder writable, and run again "
                "(what was finished is kept)"
            ) from error
        raise


def _trouble(error: BaseException | None, folder: Path) -> str | None:
    """What a database, or the file system below a folder, said that is behind an error."""
    seen: list[BaseException] = []
    # Dagster raises what a step raised from its own error, whose cause is what the step raised: a circle.
    while error and error not in seen:
        seen.append(error)
        if isinstance(error, OperationalError | sqlite3.OperationalError):
            return str(error.orig if isinstance(error, OperationalError) else error)
        if isinstance(error, OSError) and Path(str(error.filename)).is_relative_to(folder):
            return str(error.strerror)
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def _held_open(home: Path) -> Iterator[None]:
    """Spare Dagster's databases most waiting for the disk, which is most of what a small run takes.

    Dagster opens and closes a database for every event, and whoever closes a database last has to carry its log
    over and wait for the disk. So one connection to each stays open. With a write-ahead log and `synchronous=NORMAL`
    they stay consistent through a power cut; the last events may be lost, and the lake has what they said
    (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """
    held: dict[str, sqlite3.Connection] = {}
    lock, inside = threading.Lock(), f"{home}{os.sep}"

    def unhurried(connection: sqlite3.Connection, _record: object) -> None:
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if not path.startswith(inside):
            return
        connection.execute("PRAGMA synchronous=NORMAL")
        with lock:
            # The one used last goes to the end.
            held[path] = held.pop(path) if path in held else _holder(path)
            while len(held) > _MOST_HELD:
                held.pop(next(iter(held))).close()

    event.listen(Engine, "connect", unhurried)
    try:
        yield
    finally:
        event.remove(Engine, "connect", unhurried)
        for holder in held.values():
            holder.close()


def _holder(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    # Here, because tables that are made before Dagster says so wait for the disk one by one.
    connection.execute("PRAGMA journal_mode=WAL")
    # It holds the database once it has read something.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection
