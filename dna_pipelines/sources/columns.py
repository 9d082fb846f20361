"""The columns of a table of images: which one holds them, and what the others say of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.tables import TableFile
from dna_pipelines.sources.values import column_texts, is_bytes

_ROWS = 10_000
"""Rows of metadata that are read at once."""


def image_column(schema: pa.Schema, wanted: str | None, place: str) -> str:
    """The column with the images: the one that was named, else the one that can be it.

    Raises:
        SourceError: when there is none, or more than one.
    """
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    able: list[str] = [field.name for field in schema if _holds_images(field.type)]
    if wanted is not None:
        if wanted in able:
            return wanted
        raise SourceError(f"{place} has no column {wanted} with bytes; it has: {columns}")
    structs = [name for name in able if pa.types.is_struct(schema.field(name).type)]
    able = structs if len(structs) == 1 else able
    if len(able) == 1:
        return able[0]
    what = "more than one column that may hold the images" if able else "no column that may hold images"
    raise SourceError(f"{place} has {what}; name it as image_column. It has: {columns}")


def _holds_images(kind: Any) -> bool:
    """Bytes, or a struct of bytes and a path as Hugging Face's datasets have it."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def metadata_of(table: TableFile, groups: Sequence[tuple[int, int]], column: str) -> list[dict[str, str] | None]:
    """The values beside each image as text; what is null is left out."""
    names = [field.name for field in table.schema if field.name != column and _is_scalar(field.type)]
    labels = _class_names(table.schema)
    inside = f"{column}.path" if _has_path(table.schema.field(column).type) else None
    found: list[dict[str, str] | None] = []
    for group in groups:
        if not names and inside is None:
            found += [None] * group[1]
            continue
        for batch in table.batches(group, [*names, *([inside] if inside else [])], _ROWS):
            texts = {name: _texts(batch.column(name), labels.get(name)) for name in names}
            if inside:
                texts[inside] = column_texts(pa.compute.struct_field(batch.column(column), "path"))
            rows = zip(*texts.values(), strict=True)
            found += [{name: text for name, text in zip(texts, row, strict=True) if text is not None} for row in rows]
    return found


def _is_scalar(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return not (pa.types.is_nested(kind) or is_bytes(kind) or pa.types.is_null(kind))


def _has_path(kind: Any) -> bool:
    return pa.types.is_struct(kind) and any(
        field.name == "path" and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
        for field in kind
    )


def _texts(column: Any, classes: Sequence[str] | None) -> list[str | None]:
    """The values as text, numbers of known classes by their names."""
    if not classes or not pa.types.is_integer(column.type):
        return column_texts(column)
    known = {number: str(name) for number, name in enumerate(classes)}
    return [None if value is None else known.get(value, str(value)) for value in column.to_pylist()]


def _class_names(schema: pa.Schema) -> dict[str, Sequence[str]]:
    """The names of classes whose numbers are in the table, as Hugging Face's datasets note them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
