"""The definitions of the views of the catalog and of the tables below them, and which of them a statement needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from dna_pipelines.storage.catalog_files import OPTIONAL, RECORDS, TABLES, split
from dna_pipelines.storage.catalog_guard import literal, quoted
from dna_pipelines.storage.layout import Layout

_ABOUT_VIEWS = re.compile(
    r"^\s*desc\b|\b(show|describe|query|query_table|pragma|database|information_schema|duckdb_|sqlite_|pg_)",
    re.IGNORECASE,
)
"""Statements that list views, or build names while they run."""


@cache
def definitions() -> dict[str, str]:
    """The statement that creates each view or macro, in order."""
    _, *texts = re.split(r"^CREATE OR REPLACE (?=VIEW|MACRO)", resource("views.sql"), flags=re.MULTILINE)
    return {text.split()[1].partition("(")[0]: f"CREATE OR REPLACE {text}" for text in texts}


def needed_by(statement: str) -> set[str]:
    """The views whose names are words of a statement, and the views that these need; there may be more than needed."""
    if _ABOUT_VIEWS.search(statement):
        return {*definitions(), *(f"_{name}" for name in TABLES)}
    known, needed = {**dict.fromkeys((f"_{name}" for name in TABLES), ""), **definitions()}, set[str]()
    texts = [statement]
    while texts:
        named = {word for word in re.findall(r"\w+", texts.pop().lower()) if word in known} - needed
        needed |= named
        texts += [re.sub(r"--.*", "", known[name].partition("COMMENT ON")[0]) for name in named]
    return needed


def tables_of(statement: str | None) -> list[str]:
    """The tables that a statement needs; all of them without one."""
    needed = needed_by(statement) if statement is not None else None
    return [name for name in TABLES if needed is None or f"_{name}" in needed]


def views_sql(layout: Layout, statement: str | None = None, damaged: Collection[Path] = ()) -> str:
    """The statements that create all views, or those that a statement needs.

    Args:
        layout: of the lake.
        statement: the statement.
        damaged: files to leave out.
    """
    needed = needed_by(statement) if statement is not None else None
    raw = [f"CREATE OR REPLACE VIEW _{name} AS {_scan(layout, name, damaged)};" for name in tables_of(statement)]
    views = [text for name, text in definitions().items() if needed is None or name in needed]
    return "\n".join(raw + views)


def resource(name: str) -> str:
    """The text of a file beside the definitions."""
    return files("dna_pipelines.storage").joinpath("queries", name).read_text(encoding="utf-8")


def _scan(layout: Layout, name: str, damaged: Collection[Path]) -> str:
    """The statement that reads a table; an empty one of the same columns where it has no file."""
    pattern, columns = TABLES[name]
    typed = ", ".join(f"NULL::{kind} AS {column}" for column, kind in split(columns))
    empty = f"SELECT {typed} WHERE false"
    found = list(layout.root.glob(pattern))
    sound = [path for path in found if path not in damaged]
    if not sound:
        return empty
    # A list names no file that is written later, so only what is left out makes one necessary.
    globs = [f"{literal(layout.root)}/{pattern}"] if len(sound) == len(found) else map(literal, sorted(sound))
    source = "[" + ", ".join(f"'{quoted(glob)}'" for glob in globs) + "]"
    # Otherwise a folder above the lake with a name like `key=value` becomes a column.
    options = "hive_partitioning=false"
    if pattern.endswith(".json"):
        typed = ", ".join(f"{column}: '{kind}'" for column, kind in split(columns))
        options += f", maximum_object_size={_room(sound)}"
        rows = f"SELECT * FROM read_json({source}, columns={{{typed}}}, {options})"  # noqa: S608 (quoted above)
        # The first object of a list has its checksum.
        return rows if name in RECORDS else f"{rows} WHERE {split(columns)[0][0]} IS NOT NULL"
    if name == "image_rows":
        # Each layer is a column of the files, and the columns of a view must not depend on the layers.
        every = f"FROM read_parquet({source}, union_by_name=true, filename=true, {options})"
        long = f"UNPIVOT ({every}) ON COLUMNS('pooled/.*') INTO NAME layer VALUE pooled"
        return f"SELECT digest, signs, layer[8:] AS layer, pooled, filename FROM ({long})"  # noqa: S608
    if name in OPTIONAL:
        # Older files have fewer columns, and the columns of a view must not depend on that.
        return f"{empty} UNION ALL BY NAME SELECT * FROM read_parquet({source}, union_by_name=true, {options})"  # noqa: S608
    return f"SELECT * FROM read_parquet({source}, {options})"  # noqa: S608 (quoted above)


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
