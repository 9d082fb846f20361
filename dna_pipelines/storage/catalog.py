"""The catalog: DuckDB views over the files of the lake.

A view is a glob over files that are either complete or absent. `catalog.sql` and `catalog.duckdb` in the lake define
the same views for the duckdb shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from ruamel.yaml import YAML

from dna_pipelines.errors import LakeError, UserError
from dna_pipelines.identity import digest_of
from dna_pipelines.storage.catalog_damage import Damaged, damaged_files, damaged_for_duckdb, warn_of
from dna_pipelines.storage.catalog_files import TABLES
from dna_pipelines.storage.catalog_guard import (
    guarded,
    interruptible,
    not_allowed,
    quoted,
    require_reading,
    unguarded,
)
from dna_pipelines.storage.catalog_views import resource, tables_of, views_sql
from dna_pipelines.storage.files import draft_of, replace
from dna_pipelines.storage.layout import Layout

Answer = tuple[list[str], list[tuple[Any, ...]]]
"""Columns and rows."""

_EMPTY = Layout(Path("/nonexistent"))

_HEAD = "-- sha256 of catalog.duckdb and the statements below: "

_NOT_OF_A_FILE = (
    duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException,
    duckdb.InterruptException,
)  # fmt: skip
"""Errors that have their reason in the statement."""


class Column(NamedTuple):
    """A column of a view: its name, its type in DuckDB, and its meaning."""

    name: str
    type: str
    meaning: str


class Catalog:
    """SQL over a lake."""

    def __init__(self, layout: Layout, readable: Path | None = None) -> None:
        """A catalog; statements read the lake, and `readable`: the folder of its project."""
        self._layout = layout
        self._readable = [layout.root] if readable is None else [layout.root, readable]
        self._warned_of = set[Path]()

    def connect(
        self, statement: str | None = None, *, unsafe: bool = False, known: Damaged | None = None
    ) -> duckdb.DuckDBPyConnection:
        """A connection in memory with views; it holds no lock on anything.

        Args:
            statement: creates only the views that it names, and those that these need, because DuckDB reads the footer
                of every file of a view when it creates the view. By default all views.
            unsafe: whether it may open other files than those of the project.
            known: files that are left out because they are damaged, besides those that are found to be.

        Warns:
            DamagedFileWarning: of each damaged file, which is left out.
        """
        tables = tables_of(statement)
        damaged = {**damaged_files(self._layout, tables), **(known or {})}
        connection = unguarded() if unsafe else guarded(self._readable)
        try:
            connection.execute(views_sql(self._layout, statement, damaged))
        except duckdb.Error as error:
            connection.close()
            found = damaged_for_duckdb(self._layout, tables, str(error), pages=False)
            if found.keys() <= damaged.keys():
                raise
            return self.connect(statement, unsafe=unsafe, known={**damaged, **found})
        warn_of({path: problem for path, problem in damaged.items() if path not in self._warned_of})
        self._warned_of |= damaged.keys()
        return connection

    @property
    def database(self) -> Path:
        """A database file that has only the views."""
        return self._layout.root / "catalog.duckdb"

    def query(self, sql: str, *, unsafe: bool = False, limit_s: float | None = None) -> Answer:
        """The columns and rows of a statement; both are empty where it returns nothing.

        Args:
            sql: one or more statements; the answer is that of the last.
            unsafe: whether they may read and write all files that this process may.
            limit_s: seconds after which they are stopped; None for no limit.

        Raises:
            UserError: with DuckDB's message, when the statement is wrong (`sql.statement`); when it may not do what it
                does (`sql.not-allowed`), or takes too long (`sql.time-limit`).
            LakeError: when a file of the lake is damaged.
            KeyboardInterrupt: at Ctrl-C, which stops the statement.
        """
        # Where the locale has no Unicode, Python hands on its bytes as surrogates.
        sql = os.fsencode(sql).decode(errors="replace")
        if not unsafe:
            require_reading(sql)
        try:
            return self._answer(sql, unsafe=unsafe, limit_s=limit_s)
        except duckdb.PermissionException as error:
            raise not_allowed(str(error)) from error
        except duckdb.Error as error:
            raise UserError(
                f"{error}", code="sql.statement", duckdb_error=type(error).__name__, problem=str(error)
            ) from error

    def views(self) -> list[tuple[str, str, list[str]]]:
        """Name, comment and columns of each view."""
        # Every lake has the same views; those of an empty one can be listed where a file is damaged.
        found = Catalog(_EMPTY).rows(
            "SELECT view_name, any_value(v.comment) AS comment, list(column_name ORDER BY column_index) AS columns "
            "FROM duckdb_views() v JOIN duckdb_columns() c ON c.table_name = v.view_name AND c.schema_name = 'main' "
            "WHERE v.schema_name = 'main' AND NOT v.internal AND v.comment IS NOT NULL GROUP BY view_name ORDER BY ALL"
        )
        return [(row["view_name"], row["comment"], row["columns"]) for row in found]

    @staticmethod
    def columns(view: str) -> tuple[Column, ...]:
        """The columns of a view, which are the same in every lake.

        Raises:
            UserError: when there is no such view.
        """
        if view not in (known := _columns_of_views()):
            raise UserError(
                f"there is no view '{view}'; the views are: {', '.join(known)}",
                code="name.view",
                view=view,
                known=list(known),
            )
        return known[view]

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a statement as dictionaries.

        Raises:
            LakeError: when a file of the lake is damaged.
        """
        names, rows = self._answer(sql, parameters)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def damaged(self) -> Damaged:
        """The damaged files that statements leave out; of large tables only footers are read."""
        return damaged_files(self._layout, TABLES, unverified=True)

    def export(self) -> None:
        """Write `catalog.sql` and `catalog.duckdb`, if they are missing, damaged or out of date.

        Files that DuckDB cannot read are left out of the views until they are repaired.

        Raises:
            LakeError: when they cannot be written.
        """
        script, database = self._layout.root / "catalog.sql", self.database
        # Asking DuckDB for the columns of all views takes longer than these comparisons.
        if _is_current(script, database, self._views()):
            return
        draft = draft_of(database)
        try:
            text = self._write(draft)
            checksum = digest_of(draft.read_bytes() + text.encode())
            draft.replace(database)
        except (duckdb.IOException, OSError) as error:
            raise LakeError(
                f"{database} cannot be written: {error}; the lake itself is sound",
                code="lake.catalog-unwritable",
                path=str(database),
            ) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        replace(script, f"{_HEAD}{checksum}\n{text}".encode())

    def _views(self, known: Damaged | None = None) -> str:
        columns = digest_of(resource("columns.yaml").encode())
        return f"-- Columns as in {columns}.\n{views_sql(self._layout, None, known or ())}\n"

    def _write(self, database: Path, known: Damaged | None = None) -> str:
        """Write a database with all views; returns the statements that create them."""
        text = f"{self._views(known)}{_comments_sql()}"
        try:
            with duckdb.connect() as connection:
                # The oldest format that DuckDB writes, so that older shells open it too.
                connection.execute(f"ATTACH '{quoted(database)}' AS shared (STORAGE_VERSION 'v1.0.0'); USE shared;")
                connection.execute(text)
        except duckdb.Error as error:
            database.unlink(missing_ok=True)
            found = damaged_for_duckdb(self._layout, TABLES, str(error), pages=False)
            if found.keys() <= (known or {}).keys():
                raise
            return self._write(database, {**(known or {}), **found})
        return text

    def _answer(
        self, sql: str, parameters: list[Any] | None = None, *, unsafe: bool = False, limit_s: float | None = None
    ) -> Answer:
        def run(connection: duckdb.DuckDBPyConnection) -> Answer:
            with closing(connection):
                cursor = connection.execute(sql, parameters or [])
                if cursor is None:
                    raise UserError("no statement to run; `dna sql` without one lists the views", code="sql.empty")
                return [column[0] for column in cursor.description or []], cursor.fetchall()

        def answer(statement: str | None, known: Damaged | None = None) -> Answer:
            connection = self.connect(statement, unsafe=unsafe, known=known)
            return interruptible(connection, partial(run, connection), limit_s)

        # The first of several statements must not run twice.
        is_one = ";" not in sql.rstrip("; \n")
        try:
            return self._without_damaged(answer, sql, is_one=is_one)
        except duckdb.CatalogException:
            if not is_one:
                raise
            # With all views, DuckDB's message suggests similar names.
            return self._without_damaged(answer, None, is_one=is_one)

    def _without_damaged(self, answer: Callable[..., Answer], statement: str | None, *, is_one: bool) -> Answer:
        """The answer to a statement; where DuckDB fails for damaged files, once more without these."""
        try:
            return answer(statement)
        except _NOT_OF_A_FILE:
            raise
        except duckdb.Error as error:
            damaged = damaged_for_duckdb(self._layout, tables_of(statement), str(error), pages=True)
            if damaged and is_one:
                with self._damage_named():
                    return answer(statement, damaged)
            if damaged:
                raise next(iter(damaged.values())) from error
            with self._damage_named():
                raise

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Say of an error of DuckDB that a file of the lake is its reason, if it is."""
        try:
            yield
        except _NOT_OF_A_FILE:
            raise
        except duckdb.Error as error:
            # DuckDB's error on damaged pages does not name the file.
            if type(error) is not duckdb.Error and str(self._layout.root) not in str(error):
                raise
            raise LakeError(
                f"a table that this reads is damaged ({error}); `dna doctor --pages` lists the damaged tables",
                code="lake.damaged-pages",
            ) from error


def _is_current(script: Path, database: Path, views: str) -> bool:
    """Whether the files for the duckdb shell are whole, and have these views with the present meanings of columns."""
    try:
        head, _, text = script.read_bytes().partition(b"\n")
        checksum = digest_of(database.read_bytes() + text)
    except OSError:
        return False
    # The comments come after the views.
    return head == f"{_HEAD}{checksum}".encode() and text.startswith(views.encode())


@cache
def _columns_of_views() -> dict[str, tuple[Column, ...]]:
    """The columns of each view, from an empty lake, which has the same views. DuckDB takes a tenth of a second."""
    rows = Catalog(_EMPTY).rows(
        "SELECT view_name, column_name, data_type FROM duckdb_views() v "
        "JOIN duckdb_columns() c ON c.table_name = v.view_name AND c.schema_name = 'main' "
        "WHERE v.schema_name = 'main' AND NOT v.internal AND v.comment IS NOT NULL ORDER BY view_name, column_index"
    )
    return {
        view: tuple(Column(name, kind, meaning(name, view)) for _, name, kind in columns)
        for view, columns in groupby((tuple(row.values()) for row in rows), key=itemgetter(0))
    }


def meaning(column: str, view: str | None = None) -> str:
    """The meaning of a column in a view, or in most views."""
    known = _meanings()
    return known.get(f"{view}.{column}") or known[column]


def _comments_sql() -> str:
    """Comments with the meaning of every column, for shells and tools that show them."""
    return "\n".join(
        f"COMMENT ON COLUMN {view}.\"{column.name}\" IS '{quoted(column.meaning)}';"
        for view, columns in _columns_of_views().items()
        for column in columns
    )


@cache
def _meanings() -> dict[str, str]:
    known: dict[str, str] = YAML(typ="safe").load(resource("columns.yaml"))
    return known
