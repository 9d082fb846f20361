"""Tables of metadata in every format (.csv, .tsv, .jsonl, .parquet), as columns of text."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import pyarrow as pa

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.delimited import read_delimited
from dna_pipelines.sources.memory import most_in_memory
from dna_pipelines.sources.table_formats import ParquetTable
from dna_pipelines.sources.text_values import column_texts, json_text

_ROWS = 2**16
"""Rows of Parquet to read at once, at most."""
_SPACE = re.compile(r"\s*")


def parse_table(uri: str, file: Any) -> pa.Table:
    """The table in a file, whose suffix tells its format.

    Raises:
        SourceError: when it is of no known format, or cannot be read.
    """
    try:
        return _parsed(uri, file)
    except SourceError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SourceError(
            f"the metadata table {uri} cannot be read: {reason}",
            code="source.metadata-unreadable",
            uri=uri,
            reason=reason,
        ) from error


def text_column(uri: str, table: pa.Table, name: str) -> list[str | None]:
    """A column as text; None for null.

    Raises:
        SourceError: when its values have no form as text.
    """
    try:
        return column_texts(table[name])
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SourceError(
            f"the column {name} of {uri} cannot be read as text: {error}; list the columns you want as `columns`",
            code="source.metadata-not-text",
            uri=uri,
            column=name,
        ) from error


def require_columns(uri: str, table: pa.Table, names: Sequence[str]) -> None:
    """Refuse a table that has not each of the columns, and once.

    Raises:
        SourceError: (`source.metadata-no-column`, `source.metadata-column-twice`).
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise SourceError(
            f"{uri} has no column {', '.join(missing)}; its columns: {', '.join(table.column_names)}",
            code="source.metadata-no-column",
            uri=uri,
            missing=missing,
            columns=list(table.column_names),
        )
    for name in names:
        if table.column_names.count(name) > 1:
            raise SourceError(
                f"{uri} has more than one column {name}", code="source.metadata-column-twice", uri=uri, column=name
            )


def rows_of_text(table: dict[str, list[str | None]], n_rows: int) -> Iterator[dict[str, str]]:
    """The rows of columns, without empty cells."""
    for row in zip(*table.values(), strict=True) if table else repeat((), n_rows):
        yield {name: text for name, text in zip(table, row, strict=True) if text is not None}


def _parsed(uri: str, file: Any) -> pa.Table:
    suffix = uri.lower().rpartition(".")[2]
    if suffix == "parquet":
        return _read_parquet(file)
    if suffix in ("jsonl", "ndjson", "json"):
        return _read_objects(uri, file.read())
    if suffix in ("csv", "tsv"):
        return read_delimited(file.read(), "\t" if suffix == "tsv" else None)
    raise SourceError(
        f"the metadata table {uri} cannot be read: use a .csv, .tsv, .jsonl or .parquet file",
        code="source.metadata-unknown-format",
        uri=uri,
    )


def _read_parquet(file: Any) -> pa.Table:
    table, size = ParquetTable(file), file.seek(0, 2)
    names = list(dict.fromkeys(table.schema.names))
    batches, n_bytes = [], 0
    for group in table.groups():
        for batch in table.batches(group, names, _ROWS):
            batches.append(batch)
            n_bytes += batch.nbytes
            if n_bytes > most_in_memory(size):
                raise ValueError(f"its {size:,} bytes unpack to more than {n_bytes:,}, as no metadata do")
    return pa.Table.from_batches(batches, table.schema)


def _read_objects(uri: str, data: bytes) -> pa.Table:
    """A table of text from JSON objects; guessed types would rewrite ids and dates."""
    rows = list(_objects(uri, data.removeprefix(BOM_UTF8).decode()))
    names = dict.fromkeys(name for row in rows for name in row)
    texts = {name: [None if (value := row.get(name)) is None else json_text(value) for row in rows] for name in names}
    return pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})


def _objects(uri: str, text: str) -> Iterator[dict[str, Any]]:
    """The objects of a text: one per line, spread over lines, or in one list."""
    decoder, position = json.JSONDecoder(), 0
    while (start := _SPACE.match(text, position).end()) < len(text):  # type: ignore[union-attr]
        try:
            value, position = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            column = error.pos - text.rfind(chr(10), 0, error.pos)
            raise _bad_line(uri, text, error.pos, f"is not JSON: {error.msg} at column {column}", column) from error
        except (ValueError, RecursionError) as error:
            raise _bad_line(uri, text, start, f"is not JSON: {error}") from error
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise _bad_line(uri, text, start, "is not a JSON object")
            yield item


def _bad_line(uri: str, text: str, position: int, what: str, column: int | None = None) -> SourceError:
    line = text.count("\n", 0, position) + 1
    return SourceError(
        f"the metadata table {uri} cannot be read: line {line} {what}",
        code="source.metadata-not-json",
        uri=uri,
        line=line,
        column=column,
    )
