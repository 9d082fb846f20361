"""The columns of a table of images: the column with the images, and the metadata in the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.memory import most_in_memory
from dna_pipelines.sources.table_formats import Group, TableFile
from dna_pipelines.sources.text_values import column_texts, is_bytes, is_plain_bytes, stored_type

_ROWS = 1000
"""Rows of metadata to read at once, at most."""
_LONGEST_TEXT = 2**14
"""Characters of a value that are kept."""
_LEFT_OUT = "left out"

Rows = list[dict[str, str] | None]
Faults = dict[str, str]
"""Columns of metadata that are left out or cut, each with what happened to it."""


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
    for likelier in (pa.types.is_struct, is_plain_bytes):
        # Bytes of a fixed size or in a dictionary are images only where nothing else can be: most are digests.
        named = [field.name for field in schema if field.name in candidates and likelier(field.type)]
        candidates = named if len(named) == 1 else candidates
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
    return is_bytes(kind)


def metadata_of(table: TableFile, groups: Sequence[Group], column: str, size_bytes: int | None) -> tuple[Rows, Faults]:
    """The metadata of each image as text, without nulls; and the columns that are left out, or cut.

    A column that cannot be read costs none of the images and no other column.

    Args:
        table: the file.
        groups: its groups.
        column: with the images.
        size_bytes: of the file. A column whose texts take far more is left out.

    Raises:
        MemoryError: when this machine has not enough memory; that is no fault of a column.
    """
    counts = Counter(table.schema.names)
    faults = {name: f"{_LEFT_OUT}, because there is more than one" for name, count in counts.items() if count > 1}
    names = [field.name for field in table.schema if field.name not in (column, *faults) and _is_scalar(field.type)]
    if _has_path(table.schema.field(column).type):
        names.append(f"{column}.path")
    texts, labels, n_rows = _Texts(names, faults, most_in_memory(size_bytes)), _class_names(table.schema), 0
    for group in groups:
        _add_group(table, group, texts.names(), labels, texts, n_rows)
        n_rows += group[1]
    return texts.rows(n_rows), faults


class _Texts:
    """Columns of text in the making. Long values are cut, and of columns that grow too large nothing is kept.

    Args:
        names: the columns.
        faults: see `Faults`; added to.
        most: characters of all columns together.
    """

    def __init__(self, names: Sequence[str], faults: Faults, most: int) -> None:
        self._columns: dict[str, list[str | None]] = {name: [] for name in names}
        self._faults, self._most = faults, most
        self._lengths: Counter[str] = Counter()

    def names(self) -> list[str]:
        """The columns that are still read."""
        return [name for name in self._columns if not self._faults.get(name, "").startswith(_LEFT_OUT)]

    def add(self, name: str, some: Sequence[str | None]) -> None:
        """Add the texts of the next rows."""
        if name not in self.names():
            return
        cut = [text and text[:_LONGEST_TEXT] for text in some]
        if cut != some:
            self._faults[name] = f"cut after {_LONGEST_TEXT:,} characters"
        self._lengths[name] += _length(cut)
        self._columns[name] += cut
        if self._lengths.total() > self._most:
            self.leave_out(name, "its values unpack to far more characters than the file has")

    def forget_after(self, n_rows: int, names: Sequence[str]) -> None:
        """Undo what was added to columns after the first rows."""
        for name in names:
            del self._columns[name][n_rows:]
            self._lengths[name] = _length(self._columns[name])

    def leave_out(self, name: str, reason: str) -> None:
        """Keep nothing of a column."""
        self._faults[name] = f"{_LEFT_OUT}, because {reason}"
        self._columns[name], self._lengths[name] = [], 0

    def rows(self, n_rows: int) -> Rows:
        columns = {name: self._columns[name] for name in self.names()}
        if not columns:
            return [None] * n_rows
        rows = zip(*columns.values(), strict=True)
        return [{name: text for name, text in zip(columns, row, strict=True) if text is not None} for row in rows]


def _length(texts: Sequence[str | None]) -> int:
    return sum(len(text) for text in texts if text)


def _add_group(
    table: TableFile, group: Group, names: Sequence[str], labels: dict[str, Sequence[str]], texts: _Texts, n_before: int
) -> None:
    """Add columns of a group, which comes after `n_before` rows; a column that has no text is left out."""
    try:
        for batch in table.batches(group, names, _ROWS) if names else ():
            for name in names:
                texts.add(name, _texts(_column(batch, name), labels.get(name)))
    except MemoryError:
        raise
    except (pa.ArrowException, ValueError, OverflowError) as error:
        texts.forget_after(n_before, names)
        if len(names) > 1:
            # One of them is at fault, which shows where each is read by itself.
            for name in names:
                _add_group(table, group, [name], labels, texts, n_before)
            return
        reason = " ".join(str(error).split())[:200]
        texts.leave_out(names[0], f"its type {_type_of(table.schema, names[0])} is no text here ({reason})")


def _column(batch: pa.RecordBatch, name: str) -> Any:
    """A column, or the paths inside the column of images."""
    if name in batch.schema.names:
        return batch.column(name)
    outer, _, inner = name.rpartition(".")
    return pa.compute.struct_field(batch.column(outer), inner)


def _type_of(schema: pa.Schema, name: str) -> str:
    return str(schema.field(name).type) if name in schema.names else "string"


def _is_scalar(kind: Any) -> bool:
    if isinstance(kind, pa.UuidType):
        return True
    kind = stored_type(kind)
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
