"""The columns of a table of images: the column with the images, and the metadata in the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.table_formats import TableFile
from dna_pipelines.sources.text_values import column_texts, is_bytes

_ROWS = 10_000
"""Rows of metadata to read at once."""


def image_column(schema: pa.Schema, wanted: str | None, uri: str) -> str:
    """The column with the images: the one that is asked for, or else the only one that can hold images.

    Raises:
        SourceError: when there is no such column, or more than one.
    """
    columns = [f"{field.name} ({field.type})" for field in schema]
    facts: dict[str, Any] = {"uri": uri, "columns": columns}
    shown = ", ".join(columns)
    candidates: list[str] = [field.name for field in schema if _holds_images(field.type)]
    if wanted is not None:
        if wanted in candidates:
            return wanted
        raise SourceError(
            f"{uri} has no column {wanted} with bytes; its columns: {shown}",
            code="source.no-image-column",
            column=wanted,
            **facts,
        )
    structs = [name for name in candidates if pa.types.is_struct(schema.field(name).type)]
    candidates = structs if len(structs) == 1 else candidates
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise SourceError(
            f"{uri} has more than one column that can hold the images; name it as image_column. Its columns: {shown}",
            code="source.several-image-columns",
            candidates=candidates,
            **facts,
        )
    raise SourceError(
        f"{uri} has no column that can hold images; its columns: {shown}",
        code="source.no-image-column",
        column=None,
        **facts,
    )


def _holds_images(kind: Any) -> bool:
    """Whether a type is bytes, or a struct of bytes and a path as in Hugging Face's datasets."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def metadata_of(table: TableFile, groups: Sequence[tuple[int, int]], column: str) -> list[dict[str, str] | None]:
    """The metadata of each image as text, without nulls."""
    names = [field.name for field in table.schema if field.name != column and _is_scalar(field.type)]
    labels = _class_names(table.schema)
    inside = f"{column}.path" if _has_path(table.schema.field(column).type) else None
    metadata: list[dict[str, str] | None] = []
    for group in groups:
        if not names and inside is None:
            metadata += [None] * group[1]
            continue
        for batch in table.batches(group, [*names, *([inside] if inside else [])], _ROWS):
            texts = {name: _texts(batch.column(name), labels.get(name)) for name in names}
            if inside:
                texts[inside] = column_texts(pa.compute.struct_field(batch.column(column), "path"))
            rows = zip(*texts.values(), strict=True)
            metadata += [
                {name: text for name, text in zip(texts, row, strict=True) if text is not None} for row in rows
            ]
    return metadata


def _is_scalar(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return not (pa.types.is_nested(kind) or is_bytes(kind) or pa.types.is_null(kind))


def _has_path(kind: Any) -> bool:
    return pa.types.is_struct(kind) and any(
        field.name == "path" and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
        for field in kind
    )


def _texts(column: Any, classes: Sequence[str] | None) -> list[str | None]:
    """The values as text; the names of classes instead of their numbers."""
    if not classes or not pa.types.is_integer(column.type):
        return column_texts(column)
    known = {number: str(name) for number, name in enumerate(classes)}
    return [None if value is None else known.get(value, str(value)) for value in column.to_pylist()]


def _class_names(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """The names of the classes by column, as Hugging Face's datasets store them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
