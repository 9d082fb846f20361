"""Metadata beside the images: a table joined to the manifest by image path."""

from __future__ import annotations

import json
import os
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from dna_pipelines.config import MetadataConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import without_leading_dot
from dna_pipelines.sources.delimited import read_delimited
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.opening import resolve_uri
from dna_pipelines.sources.remote import Options, file_system_of, info_of, signature_of
from dna_pipelines.sources.text_values import column_texts, is_bytes, json_text

_SPACE = re.compile(r"\s*")


def metadata_signature(config: MetadataConfig, base: Path, options: Options | None = None) -> str:
    """A text that changes when the table does. The options are for the scheme of the dataset's location.

    Raises:
        SourceError: when the table cannot be reached.
    """
    uri = resolve_uri(config.uri, base)
    try:
        fs, path = file_system_of(uri, options)
        fs.invalidate_cache()
        return signature_of(info_of(fs, path))
    except SourceError:
        raise
    except Exception as error:
        raise _unreachable(uri, error) from error


def read_metadata(config: MetadataConfig, base: Path, options: Options | None = None) -> dict[str, dict[str, str]]:
    """The table as text values by image path, without empty cells.

    Raises:
        SourceError: when the table cannot be read, has no such column, or names a path twice.
    """
    uri = resolve_uri(config.uri, base)
    table = _table(uri, options)
    readable = (field.name for field in table.schema if not is_bytes(field.type))
    wanted = config.columns or tuple(name for name in readable if name != config.path_column)
    _require_columns(uri, table, (config.path_column, *wanted))
    named, columns = _texts(uri, table, config.path_column), {name: _texts(uri, table, name) for name in wanted}
    paths = _paths(uri, config.path_column, named)
    rows = zip(*columns.values(), strict=True) if columns else repeat(())
    return {
        path: {name: text for name, text in zip(columns, row, strict=True) if text is not None}
        for path, row in zip(paths, rows, strict=False)
    }


def _table(uri: str, options: Options | None) -> pa.Table:
    try:
        fs, path = file_system_of(uri, options)
        with fs.open(path, "rb") as file:
            return _read(uri, file)
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise _unreachable(uri, error) from error
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SourceError(
            f"the metadata table {uri} cannot be read: {reason}",
            code="source.metadata-unreadable",
            uri=uri,
            reason=reason,
        ) from error


def _unreachable(uri: str, error: Exception) -> SourceError:
    return source_error(f"the metadata table {uri} cannot be reached", error, uri=uri)


def _require_columns(uri: str, table: pa.Table, names: tuple[str, ...]) -> None:
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


def _paths(uri: str, column: str, named: list[str | None]) -> list[str]:
    """The paths of the rows, each of them there and once."""
    if None in named:
        row = named.index(None) + 1
        raise SourceError(
            f"row {row} of {uri} has no {column}", code="source.metadata-no-path", uri=uri, row=row, column=column
        )
    paths = [os.fsdecode(without_leading_dot(os.fsencode(path))) for path in named if path is not None]
    if len(set(paths)) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise SourceError(
            f"{uri} has more than one row for {twice}", code="source.metadata-path-twice", uri=uri, path=twice
        )
    return paths


def _texts(uri: str, table: pa.Table, name: str) -> list[str | None]:
    try:
        return column_texts(table[name])
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SourceError(
            f"the column {name} of {uri} cannot be read as text: {error}; list the columns you want as `columns`",
            code="source.metadata-not-text",
            uri=uri,
            column=name,
        ) from error


def _read(uri: str, file: Any) -> pa.Table:
    suffix = uri.lower().rpartition(".")[2]
    if suffix == "parquet":
        return pyarrow.parquet.read_table(file)
    if suffix in ("jsonl", "ndjson", "json"):
        return _read_objects(uri, file.read())
    if suffix in ("csv", "tsv"):
        return read_delimited(file.read(), "\t" if suffix == "tsv" else None)
    raise SourceError(
        f"the metadata table {uri} cannot be read: use a .csv, .tsv, .jsonl or .parquet file",
        code="source.metadata-unknown-format",
        uri=uri,
    )


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
