"""The damaged files of the lake, which SQL leaves out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from dna_pipelines.errors import DamagedFileWarning, LakeError
from dna_pipelines.storage.catalog_files import OPTIONAL, RECORDS, TABLES, split
from dna_pipelines.storage.checksums import verified_json
from dna_pipelines.storage.files import read
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.tables import damage_named, require_footer, require_sound, require_unchanged

Damaged = Mapping[Path, LakeError]
"""By file, what is wrong with it and what to do."""

_WHOLE_BYTES = 2**28
"""A statement verifies every byte of the files of a table where they are not larger, of others the footers."""

_N_SHOWN = 5


def damaged_files(layout: Layout, tables: Iterable[str], *, unverified: bool = False) -> dict[Path, LakeError]:
    """The damaged files of some tables by their checksums, as a statement that reads them verifies them.

    Records are read completely, and so are tables of less than `_WHOLE_BYTES` in all; of others only footers are.

    Args:
        layout: of the lake.
        tables: by name.
        unverified: whether files without a checksum are read in its stead.
    """
    damaged: dict[Path, LakeError] = {}
    for name in tables:
        files = files_of(layout, name)
        whole = sum(map(_size, files)) <= _WHOLE_BYTES
        damaged |= {
            path: problem
            for path in files
            if (problem := _problem(layout, name, path, whole=whole, unverified=unverified))
        }
    return damaged


def damaged_for_duckdb(layout: Layout, tables: Iterable[str], message: str, *, pages: bool) -> dict[Path, LakeError]:
    """The damaged files of some tables, also those without a checksum, after DuckDB failed to read one.

    Args:
        layout: of the lake.
        tables: that the statement reads.
        message: DuckDB's. Where no file that it names is damaged, all files are examined.
        pages: whether it read more than the footers.
    """
    candidates = [(name, path) for name in tables for path in files_of(layout, name)]
    named = [(name, path) for name, path in candidates if str(path) in message]
    for some in (named, candidates):
        problems = {path: _problem(layout, name, path, whole=pages, unverified=True) for name, path in some}
        if damaged := {path: problem for path, problem in problems.items() if problem}:
            return damaged
    # What another parser accepts, such as a date that is none, or too many values.
    return {path: _unreadable(path, message) for _, path in named}


def warn_of(damaged: Damaged) -> None:
    """Warn that files are left out."""
    for path, problem in list(damaged.items())[:_N_SHOWN]:
        warnings.warn(DamagedFileWarning(f"left out: {problem}", str(path)), stacklevel=2)
    if (n_more := len(damaged) - _N_SHOWN) > 0:
        more = f"left out: {n_more} more damaged files; `dna doctor --pages` lists them"
        warnings.warn(DamagedFileWarning(more), stacklevel=2)


def files_of(layout: Layout, table: str) -> list[Path]:
    """The files of a table."""
    return sorted(layout.root.glob(TABLES[table][0]))


def _problem(layout: Layout, table: str, path: Path, *, whole: bool, unverified: bool) -> LakeError | None:
    """What is wrong with a file of a table; None if it is sound, or another process removed it."""
    source = _source(layout, path)
    try:
        if kind := RECORDS.get(table):
            kind.read(path)
        elif path.suffix == ".json":
            _require_list(path)
        elif unverified:
            (require_sound if whole else require_footer)(source)
            _require_columns(table, source)
        else:
            require_unchanged(source, whole=whole)
    except FileNotFoundError:
        return None
    except LakeError as error:
        return None if error.code == "lake.missing" else error
    return None


def _require_columns(table: str, path: Path) -> None:
    """Check the names of columns; SQL takes those of the first file for those of all."""
    if table in OPTIONAL:
        return
    with damage_named(path):
        names = pq.read_schema(path).names
        if missing := [name for name, _ in split(TABLES[table][1]) if name.strip('"') not in names]:
            raise ValueError(f"it has no columns {', '.join(missing)}")


def _require_list(path: Path) -> None:
    """Check a list of objects that is written for SQL."""
    with damage_named(path):
        rows = json.loads(verified_json(read(path)))
        if not all(isinstance(row, dict) for row in rows):
            raise TypeError("it is not a list of objects")


def _source(layout: Layout, path: Path) -> Path:
    """The manifest that a file in `current/` is a link to; the file itself for other files."""
    manifests = layout.manifest(path.stem, "*")
    candidates = manifests.parent.glob(manifests.name) if path == layout.current_manifest(path.stem) else ()
    return next(filter(path.samefile, candidates), path)


def _unreadable(path: Path, problem: str) -> LakeError:
    return LakeError(
        f"{path} is damaged ({problem}); restore it from a copy, or remove it and run `dna run`",
        code="lake.damaged",
        path=str(path),
        problem=problem,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
