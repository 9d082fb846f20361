"""Values of tables and of JSON as text; metadata are texts."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute

_ZEROS = re.compile(r"(\.\d*[1-9])0+(?=$|[Z+-])|\.0+(?=$|[Z+-])")


def json_text(value: object) -> str:
    """Text as it is, everything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_bytes(kind: Any) -> bool:
    """Whether an Arrow type holds bytes, encoded as a dictionary or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_plain_bytes(kind) or bool(pa.types.is_fixed_size_binary(kind))


def is_plain_bytes(kind: Any) -> bool:
    """Whether an Arrow type holds bytes of any length, each value by itself."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def stored_type(kind: Any) -> Any:
    """The type of the values themselves, of a dictionary, of runs, or of an extension type such as a tensor."""
    kind = kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) else kind
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def column_texts(column: Any) -> list[str | None]:
    """The values of an Arrow column as text; None for null.

    Numbers and booleans are written as in JSON (a whole number without a point, whatever its type), times with the
    digits that they have, lists and structs as JSON.

    UUIDs are written in their usual form.

    Raises:
        pyarrow.ArrowException: when the values have no such form, or bytes are not text.
        UnicodeDecodeError: the same.
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return [None if value is None else str(value) for value in _list(column)]
    if pa.types.is_dictionary(kind):
        return [text for chunk in _chunks(column) for text in _dictionary_texts(chunk)]
    if pa.types.is_run_end_encoded(kind):
        return column_texts(pa.compute.run_end_decode(column))
    if isinstance(kind, pa.BaseExtensionType):
        return column_texts(column.cast(stored_type(kind)))
    return _plain_texts(column)


def _plain_texts(column: Any) -> list[str | None]:
    """The texts of a column that stores its values themselves."""
    kind = column.type
    if pa.types.is_nested(kind):
        return [
            None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in _list(column)
        ]
    if pa.types.is_duration(kind):
        return [None if value is None else f"{value} {kind.unit}" for value in _list(column.cast(pa.int64()))]
    if pa.types.is_timestamp(kind) and kind.tz:
        column = _in_known_zone(column)
    texts = _list(pa.compute.cast(column, pa.string()))
    if not pa.types.is_temporal(kind):
        return texts
    return [text and _ZEROS.sub(r"\1", text) for text in texts]


def _chunks(column: Any) -> list[Any]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def _dictionary_texts(array: Any) -> list[str | None]:
    """The texts of a dictionary's values; those that are equal are one object, so that they take no memory again."""
    texts = column_texts(array.dictionary)
    return [None if index is None else texts[index] for index in array.indices.to_pylist()]


def _list(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _in_known_zone(column: Any) -> Any:
    """The same moments in UTC where this machine does not know the zone."""
    try:
        pa.compute.cast(column[:1], pa.string())
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp(column.type.unit, "UTC"))
    return column
