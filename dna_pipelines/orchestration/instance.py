"""The project's Dagster instance, kept in `data/dagster/`."""

import errno
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
from dna_pipelines.orchestration.dagster_private import (
    instance_of_this_process,
    migrations_read_once,
    settings_filename,
)
from dna_pipelines.project.project import ProjectFolder

_MOST_HELD = 8
"""Most databases that are held open: those of the instance, and of the runs in progress."""


def prepare_home(project: ProjectFolder) -> Path:
    """Create DAGSTER_HOME, with its settings and databases; returns its path.

    It appears whole or not at all: a database of which only some tables exist, after a kill or with two
    processes at once, could never be opened again.

    Raises:
        UserError: when it cannot be written, or its path contains a question mark.
    """
    home = project.dagster_home
    if "?" in str(home):
        raise UserError(
            f"Dagster cannot open databases in {home}, because the path contains a question mark; rename the folder",
            code="dagster.home-question-mark",
            path=str(home),
        )
    if (home / "dagster.yaml").exists():
        return home
    draft = home.with_name(f".{home.name}.{uuid.uuid4().hex[:12]}")
    try:
        with _explained(home):
            draft.mkdir(parents=True)
            with as_file(files("dna_pipelines.orchestration").joinpath("dagster.yaml")) as template:
                shutil.copyfile(template, draft / "dagster.yaml")
            with (
                migrations_read_once(),
                _held_open(draft),
                dg.DagsterInstance.from_config(str(draft), settings_filename(draft)),
            ):
                pass
            try:
                draft.rename(home)
            except OSError:
                # Another process may have created it first.
                if not (home / "dagster.yaml").exists():
                    raise
    finally:
        # Files that remain would keep a full disk full.
        shutil.rmtree(draft, ignore_errors=True)
    return home


@contextmanager
def open_instance(project: ProjectFolder) -> Iterator[dg.DagsterInstance]:
    """The instance, for runs inside this process: what steps print is not captured but shown.

    Raises:
        UserError: when its databases cannot be opened or written, also later.
    """
    home = prepare_home(project)
    with (
        migrations_read_once(),
        _explained(home),
        _held_open(home),
        instance_of_this_process(home) as instance,
    ):
        yield instance


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Report a full disk or a read-only folder where that is what stops Dagster."""
    try:
        yield
    except DnaError:
        raise
    except Exception as error:
        reason = _disk_error(error, home.parent)
        if reason and _no_more_files():
            raise UserError(
                f"{home} cannot be opened: this process may open no more files; allow more (`ulimit -n 4096`), or use "
                "fewer `workers`",
                code="dagster.too-many-files",
                path=str(home),
            ) from error
        if reason:
            raise UserError(
                f"{home} cannot be written: {reason}; free space on its disk, or make the folder writable, and run "
                "again (finished work is kept)",
                code="dagster.home-not-writable",
                path=str(home),
                reason=reason,
            ) from error
        raise


def _no_more_files() -> bool:
    """Whether this process, or the machine, has as many open files as it may. SQLite does not say so."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _disk_error(error: BaseException | None, folder: Path) -> str | None:
    """The message of a database, or of the file system below a folder, that caused an error."""
    seen: list[BaseException] = []
    # Dagster raises the error of a step from its own error, whose cause is the error of the step: a circle.
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
    """Let Dagster's databases wait for the disk less, which is most of the duration of a small run.

    Dagster opens and closes a database for every event, and the last one to close a database has to copy its log
    and wait for the disk. So one connection to each stays open. With a write-ahead log and `synchronous=NORMAL`
    they stay consistent through a power cut; the last events may be lost, and the lake has their contents
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
            # The most recently used one goes to the end.
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
    # Set here, because each table that is created before Dagster sets this mode waits for the disk.
    connection.execute("PRAGMA journal_mode=WAL")
    # It holds the database once it has read something.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection
