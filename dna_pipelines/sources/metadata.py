"""Metadata beside the images: a table joined to the manifest by image path."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pyarrow as pa

from dna_pipelines.config import MetadataConfig
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.metadata_tables import parse_table, require_columns, rows_of_text, text_column
from dna_pipelines.sources.names import without_leading_dot
from dna_pipelines.sources.opening import resolve_uri
from dna_pipelines.sources.remote import Options, file_system_of, info_of, signature_of
from dna_pipelines.sources.text_values import is_bytes


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
    require_columns(uri, table, (config.path_column, *wanted))
    paths = _paths(uri, config.path_column, text_column(uri, table, config.path_column))
    columns = {name: text_column(uri, table, name) for name in wanted}
    return dict(zip(paths, rows_of_text(columns, len(paths)), strict=True))


def _table(uri: str, options: Options | None) -> pa.Table:
    try:
        fs, path = file_system_of(uri, options)
        file = fs.open(path, "rb")
    except SourceError:
        raise
    except Exception as error:
        raise _unreachable(uri, error) from error
    with file:
        return parse_table(uri, file)


def _unreachable(uri: str, error: Exception) -> SourceError:
    return source_error(f"the metadata table {uri} cannot be reached", error, uri=uri)


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
