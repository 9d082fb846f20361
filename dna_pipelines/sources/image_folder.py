"""Tables among the images, in the layout of Hugging Face's ImageFolder.

A `metadata.csv`, `metadata.jsonl` or `metadata.parquet` with a column `file_name` describes images by their names
relative to its own folder. It may lie beside the images, above them or in each split.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable
from typing import NamedTuple

from dna_pipelines.sources.base import Selection, TableFile
from dna_pipelines.sources.metadata_tables import parse_table, require_columns, rows_of_text, text_column
from dna_pipelines.sources.text_values import is_bytes

TABLE_NAMES = (b"metadata.csv", b"metadata.jsonl", b"metadata.parquet")
"""The names of such tables. Of several in one folder, the first is used."""

NAME_COLUMN = "file_name"
"""The column with the names of images."""


def is_table(path: bytes, selection: Selection) -> bool:
    """Whether a file is such a table, by its name. An exclude can leave it out."""
    return path.rpartition(b"/")[2] in TABLE_NAMES and not selection.excludes(path)


def image_path(table: TableFile, file_name: str) -> str | None:
    """The path of the image that a row names, relative to the location; None where it lies outside."""
    folder = posixpath.dirname(table.path).decode("utf-8", "backslashreplace")
    path = posixpath.normpath(posixpath.join(folder, file_name.replace("\\", "/")))
    if not table.within:
        return None if path.startswith(("../", "/")) else path
    beginning = "../" + table.within.decode("utf-8", "backslashreplace")
    return path.removeprefix(beginning) if path.startswith(beginning) else None


class FolderRows(NamedTuple):
    """The rows of such a table.

    Attributes:
        by_path: the metadata by the path that an image has in the location.
        n_outside: rows that name no file, or one outside the location.
        n_repeated: rows that name a file again; the first one counts.
    """

    by_path: dict[str, dict[str, str]]
    n_outside: int
    n_repeated: int


def read_rows(table: TableFile, data: bytes, uri: str) -> FolderRows:
    """Read a table from its bytes.

    Raises:
        SourceError: when it cannot be read, or has no column `file_name`.
    """
    columns = parse_table(uri, io.BytesIO(data))
    readable = [field.name for field in columns.schema if not is_bytes(field.type) and field.name != NAME_COLUMN]
    require_columns(uri, columns, (NAME_COLUMN, *readable))
    names = text_column(uri, columns, NAME_COLUMN)
    texts = {name: text_column(uri, columns, name) for name in readable}
    by_path: dict[str, dict[str, str]] = {}
    n_outside = n_repeated = 0
    for name, row in zip(names, rows_of_text(texts, len(names)), strict=True):
        path = image_path(table, name) if name else None
        if path is None:
            n_outside += 1
        elif path in by_path:
            n_repeated += 1
        else:
            by_path[path] = row
    return FolderRows(by_path, n_outside, n_repeated)


def chosen(tables: Iterable[TableFile]) -> tuple[list[TableFile], list[TableFile]]:
    """The tables that are used, those of outer folders first, and the others: of each folder one is used."""
    used: dict[bytes, TableFile] = {}
    for table in sorted(tables, key=lambda table: (not table.within, table.path.count(b"/"), table.path)):
        used.setdefault(posixpath.dirname(table.path), table)
    kept = list(used.values())
    return kept, [table for table in tables if table not in kept]
