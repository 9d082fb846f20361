"""The catalog: DuckDB views over the files of the lake.

A view is a glob over files that are either complete or absent. `catalog.sql` and `catalog.duckdb` in the lake define
the same views for the duckdb shell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
from dna_pipelines.storage.catalog_files import RECORDS, TABLES, split
from dna_pipelines.storage.catalog_guard import (
    guarded,
    interruptible,
    literal,
    not_allowed,
    quoted,
    require_reading,
    unguarded,
)
from dna_pipelines.storage.catalog_views import definitions, needed_by, resource
from dna_pipelines.storage.files import draft_of, replace
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.tables import read_parquet, require_footer

_EMPTY = Layout(Path("/nonexistent"))


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

    def connect(self, statement: str | None = None, *, unsafe: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection in memory with views; it holds no lock on anything.

        Args:
            statement: creates only the views that it names, and those that these need, because DuckDB reads the footer
                of every file of a view when it creates the view. By default all views.
            unsafe: whether it may open other files than those of the project.

        Raises:
            LakeError: when a file of the lake is damaged.
        """
        connection = unguarded() if unsafe else guarded(self._readable)
        with self._damage_named():
            connection.execute(self.views_sql(statement))
        return connection

    @property
    def database(self) -> Path:
        """A database file that has only the views."""
        return self._layout.root / "catalog.duckdb"

    def query(
        self, sql: str, *, unsafe: bool = False, limit_s: float | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
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

    def views_sql(self, statement: str | None = None) -> str:
        """The statements that create all views, or those that a statement needs."""
        needed = needed_by(statement) if statement is not None else None
        raw = [
            f"CREATE OR REPLACE VIEW _{name} AS {self._scan(name)};"
            for name in TABLES
            if needed is None or f"_{name}" in needed
        ]
        views = [text for name, text in definitions().items() if needed is None or name in needed]
        return "\n".join(raw + views)

    def export(self) -> None:
        """Write `catalog.sql` and `catalog.duckdb`, if they are missing or out of date.

        Raises:
            LakeError: when they cannot be written, or a file of the lake is damaged.
        """
        # Asking DuckDB for the columns of all views takes longer than this comparison.
        head = f"-- Columns as in {digest_of(resource('columns.yaml').encode())}.\n{self.views_sql()}\n"
        script, database = self._layout.root / "catalog.sql", self.database
        if script.exists() and database.exists() and script.read_bytes().startswith(head.encode()):
            return
        text = head + _comments_sql()
        draft = draft_of(database)
        try:
            with duckdb.connect() as connection, self._damage_named():
                # The oldest format that DuckDB writes, so that older shells open it too.
                connection.execute(f"ATTACH '{quoted(draft)}' AS shared (STORAGE_VERSION 'v1.0.0'); USE shared;")
                connection.execute(text)
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
        replace(script, text.encode())

    def _answer(
        self, sql: str, parameters: list[Any] | None = None, *, unsafe: bool = False, limit_s: float | None = None
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        def run(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[tuple[Any, ...]]]:
            with closing(connection):
                cursor = connection.execute(sql, parameters or [])
                if cursor is None:
                    raise UserError("no statement to run; `dna sql` without one lists the views", code="sql.empty")
                return [column[0] for column in cursor.description or []], cursor.fetchall()

        def answer(statement: str | None) -> tuple[list[str], list[tuple[Any, ...]]]:
            connection = self.connect(statement, unsafe=unsafe)
            return interruptible(connection, partial(run, connection), limit_s)

        with self._damage_named():
            try:
                return answer(sql)
            except duckdb.CatalogException:
                # The first of several statements must not run twice.
                if ";" in sql.rstrip("; \n"):
                    raise
                # With all views, DuckDB's message suggests similar names.
                return answer(None)

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Where DuckDB fails, raise an error that names the damaged file of the lake, if there is one."""
        try:
            yield
        except (
            duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException,
            duckdb.InterruptException,
        ):  # fmt: skip
            raise
        except duckdb.Error as error:
            try:
                self.require_sound(named_in=str(error))
            except LakeError as damage:
                raise damage from error
            if type(error) is duckdb.Error:
                # DuckDB's error on damaged pages does not name the file.
                raise LakeError(
                    f"a table that this reads is damaged ({error}); `dna doctor --pages` lists the damaged tables",
                    code="lake.damaged-pages",
                ) from error
            raise

    def require_sound(self, *, named_in: str = "") -> None:
        """Check every file that the views read; only the footers of tables are read.

        Args:
            named_in: a text; tables whose paths are in it are read completely.

        Raises:
            LakeError: when one is damaged.
        """
        for name, (pattern, _) in TABLES.items():
            for path in sorted(self._layout.root.glob(pattern)):
                if kind := RECORDS.get(name):
                    kind.read(path)
                elif path.suffix == ".parquet":
                    (read_parquet if str(path) in named_in else require_footer)(self._source(path))

    def _source(self, path: Path) -> Path:
        """The manifest that a file in `current/` is a link to; the file itself for other files."""
        manifests = self._layout.manifest(path.stem, "*")
        candidates = manifests.parent.glob(manifests.name) if path == self._layout.current_manifest(path.stem) else ()
        return next(filter(path.samefile, candidates), path)

    def _scan(self, name: str) -> str:
        pattern, columns = TABLES[name]
        typed = ", ".join(f"NULL::{kind} AS {column}" for column, kind in split(columns))
        empty = f"SELECT {typed} WHERE false"
        if not any(self._layout.root.glob(pattern)):
            return empty
        glob = quoted(f"{literal(self._layout.root)}/{pattern}")
        # Otherwise a folder above the lake with a name like `key=value` becomes a column.
        options = "hive_partitioning=false"
        if pattern.endswith(".json"):
            typed = ", ".join(f"{column}: '{kind}'" for column, kind in split(columns))
            options += f", maximum_object_size={_room(self._layout.root.glob(pattern))}"
            return f"SELECT * FROM read_json('{glob}', columns={{{typed}}}, {options})"  # noqa: S608 (quoted above)
        if name == "image_rows":
            # Each layer is a column of the files, and the columns of a view must not depend on the layers.
            every = f"FROM read_parquet('{glob}', union_by_name=true, filename=true, {options})"
            long = f"UNPIVOT ({every}) ON COLUMNS('pooled/.*') INTO NAME layer VALUE pooled"
            return f"SELECT digest, signs, layer[8:] AS layer, pooled, filename FROM ({long})"  # noqa: S608
        if name in ("verdicts", "layer_rows"):
            # Older files have fewer columns, and the columns of a view must not depend on that.
            return f"{empty} UNION ALL BY NAME SELECT * FROM read_parquet('{glob}', union_by_name=true, {options})"  # noqa: S608
        return f"SELECT * FROM read_parquet('{glob}', {options})"  # noqa: S608 (quoted above)


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


def _room(records: Iterable[Path]) -> int:
    """The most bytes of a record, in powers of 2, so that the views seldom change.

    A commit has a line for each shard. DuckDB's default is 16 MiB, and it allocates twice the limit.
    """
    sizes = [2**24]
    for record in records:
        # Another process may prune it at this moment.
        with suppress(FileNotFoundError):
            sizes.append(2 ** record.stat().st_size.bit_length())
    return max(sizes)
