"""Metadata beside the images: a table joined to the manifest by image path."""

from __future__ import annotations

import io
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
import pyarrow.csv
import pyarrow.parquet

from dna_pipelines.config import MetadataConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.asking import cannot
from dna_pipelines.sources.base import bare
from dna_pipelines.sources.opening import resolve_uri
from dna_pipelines.sources.remote import Options, file_system_of, info_of, signature_of
from dna_pipelines.sources.values import column_texts, is_bytes, json_text

_SPACE = re.compile(r"\s*")


def metadata_signature(config: MetadataConfig, base: Path, options: Options | None = None) -> str:
    """What changes when the table does. The options are for the scheme of the dataset that it belongs to."""
    place = resolve_uri(config.uri, base)
    try:
        fs, path = file_system_of(place, options)
        fs.invalidate_cache()
        return signature_of(info_of(fs, path))
    except SourceError:
        raise
    except Exception as error:
        raise cannot(f"the metadata table {place} cannot be reached", error) from error


def read_metadata(config: MetadataConfig, base: Path, options: Options | None = None) -> dict[str, dict[str, str]]:
    """The table as text values by image path; empty cells are left out.

    Raises:
        SourceError: when it cannot be read, or lacks a column, or names a path twice.
    """
    place = resolve_uri(config.uri, base)
    try:
        fs, path = file_system_of(place, options)
        with fs.open(path, "rb") as file:
            table = _read(place, file)
    except SourceError:
        raise
    except Exception as error:
        said = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SourceError(f"the metadata table {place} cannot be read: {said}") from error
    told = (field.name for field in table.schema if not is_bytes(field.type))
    wanted = config.columns or tuple(name for name in told if name != config.path_column)
    missing = [name for name in (config.path_column, *wanted) if name not in table.column_names]
    if missing:
        raise SourceError(f"{place} has no column {', '.join(missing)}; it has: {', '.join(table.column_names)}")
    twice = [name for name in (config.path_column, *wanted) if table.column_names.count(name) > 1]
    if twice:
        raise SourceError(f"{place} has more than one column {twice[0]}")
    named, columns = _texts(place, table, config.path_column), {name: _texts(place, table, name) for name in wanted}
    if None in named:
        raise SourceError(f"row {named.index(None) + 1} of {place} has no {config.path_column}")
    paths = [os.fsdecode(bare(os.fsencode(path))) for path in named if path is not None]
    if len(set(paths)) < len(paths):
        again = next(path for path, count in Counter(paths).items() if count > 1)
        raise SourceError(f"{place} has more than one row for {again}")
    rows = zip(*columns.values(), strict=True) if columns else repeat(())
    return {
        path: {name: text for name, text in zip(columns, row, strict=True) if text is not None}
        for path, row in zip(paths, rows, strict=False)
    }


def _texts(place: str, table: pa.Table, name: str) -> list[str | None]:
    try:
        return column_texts(table[name])
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SourceError(
            f"the column {name} of {place} cannot be read as text: {error}; name the wanted ones as columns"
        ) from error


def _read(place: str, file: Any) -> pa.Table:
    suffix = place.lower().rpartition(".")[2]
    if suffix == "parquet":
        return pyarrow.parquet.read_table(file)
    if suffix in ("jsonl", "ndjson", "json"):
        return _read_objects(file.read())
    if suffix in ("csv", "tsv"):
        delimiter = "\t" if suffix == "tsv" else ","
        return _read_text(file.read(), pyarrow.csv.ParseOptions(delimiter=delimiter))
    raise ValueError("use a .csv, .tsv, .jsonl or .parquet file")


def _read_objects(data: bytes) -> pa.Table:
    """A table of text from JSON objects: types that are guessed would rewrite ids and dates."""
    rows = list(_objects(data.removeprefix(BOM_UTF8).decode()))
    names = dict.fromkeys(name for row in rows for name in row)
    texts = {name: [None if (value := row.get(name)) is None else json_text(value) for row in rows] for name in names}
    return pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """One after the other, on a line each or not, or all in one list."""
    decoder, place = json.JSONDecoder(), 0
    while (start := _SPACE.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        try:
            value, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            at, said = start, str(error)
            if isinstance(error, json.JSONDecodeError):
                at, said = error.pos, f"{error.msg} at column {error.pos - text.rfind(chr(10), 0, error.pos)}"
            raise ValueError(f"line {_line(text, at)} is no JSON: {said}") from error
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                raise ValueError(f"line {_line(text, start)} is no JSON object")  # noqa: TRY004 (of the file)
            yield one


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _read_text(data: bytes, options: pyarrow.csv.ParseOptions) -> pa.Table:
    """A table of text: types would be guessed from the values, and patient 007 would become 7."""
    header = pyarrow.csv.open_csv(io.BytesIO(data), parse_options=options).schema.names
    text = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True
    )
    return pyarrow.csv.read_csv(io.BytesIO(data), parse_options=options, convert_options=text)
