"""What a statement of a user may do: read the project, and create things that last as long as the connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import duckdb

from dna_pipelines.errors import UserError

T = TypeVar("T")

_ALLOWED = frozenset(
    {
        "ALTER", "CALL", "CREATE", "DELETE", "DROP", "EXPLAIN", "INSERT", "MERGE_INTO", "MULTI", "PRAGMA", "SELECT",
        "SET", "TRANSACTION", "UPDATE", "VACUUM", "VARIABLE_SET",
    }
)  # fmt: skip
"""Types of statements that read, or change what is in memory. Where files lie is checked by DuckDB itself."""

_COMPOUND = frozenset({"EXPLAIN", "MULTI", "PRAGMA"})
"""Types that may contain a statement of another type: EXPLAIN ANALYZE COPY … writes the file."""

_REFUSED_WORDS = re.compile(r"\b(copy|export|import|attach|install|load|prepare|execute)\b", re.IGNORECASE)


def guarded(folders: Iterable[Path]) -> duckdb.DuckDBPyConnection:
    """A connection in memory that reads no file outside some folders, loads no extension, and cannot be set otherwise.

    It does not keep statements from writing into the folders: see `require_reading`.
    """
    connection = duckdb.connect(config={"python_enable_replacements": False})
    names = {form for folder in folders for path in (folder, folder.resolve()) for form in (str(path), literal(path))}
    listed = ", ".join(f"'{quoted(name)}/'" for name in sorted(names))
    connection.execute(
        f"SET allowed_directories = [{listed}]; SET enable_external_access = false; SET lock_configuration = true"
    )
    return connection


def unguarded() -> duckdb.DuckDBPyConnection:
    """A connection in memory that reads and writes whatever this process may; it sees no variables of Python."""
    return duckdb.connect(config={"python_enable_replacements": False})


def require_reading(sql: str) -> None:
    """Refuse statements that write files, open databases or load extensions.

    Raises:
        UserError: (`sql.not-allowed`) when one of them does.
    """
    with suppress(duckdb.Error):  # running it reports the syntax error
        for kind, text in _statements(sql):
            word = _REFUSED_WORDS.search(text) if kind in _COMPOUND else None
            if kind not in _ALLOWED or word:
                raise not_allowed(f"it contains {word[1].upper()}" if word else f"it is a statement of type {kind}")


def not_allowed(problem: str) -> UserError:
    """The error of a statement that does more than read the project."""
    return UserError(
        f"the statement is not allowed: {problem}; statements read files of the project only, and write none "
        "(--unsafe, in Python unsafe=True, lifts this)",
        code="sql.not-allowed",
        problem=problem,
    )


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], T], limit_s: float | None) -> T:
    """Do work on a connection that Ctrl-C and a time limit end.

    DuckDB looks at no signals while a statement runs, so the work has a thread of its own, and this one waits.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
        UserError: (`sql.time-limit`) when the work took longer than the limit.
    """
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(limit_s)
    except TimeoutError:
        _interrupt(connection)
        raise UserError(
            f"the statement took longer than {limit_s:g} seconds and was stopped; allow more time, or select less",
            code="sql.time-limit",
            limit_s=limit_s,
        ) from None
    except KeyboardInterrupt:
        _interrupt(connection)
        raise
    finally:
        pool.shutdown(wait=False)


def _interrupt(connection: duckdb.DuckDBPyConnection) -> None:
    # The work may have closed it at this moment.
    with suppress(duckdb.Error):
        connection.interrupt()


def literal(path: Path) -> str:
    """A path as a glob that matches it alone."""
    return re.sub(r"([*?\[\\])", r"[\1]", str(path))


def quoted(text: str | Path) -> str:
    """A text between the quotes of SQL."""
    return str(text).replace("'", "''")


def _statements(sql: str) -> Iterable[tuple[str, str]]:
    """Type and text of each statement; the type is UNKNOWN where the Python client has no name for it."""
    for statement in duckdb.extract_statements(sql):
        try:
            yield statement.type.name, statement.query
        except ValueError:
            yield "UNKNOWN", statement.query
