"""The headers of Arrow's messages, which tell how many bytes a message unpacks to before anything is unpacked.

pyarrow unpacks a message as a whole and has no limit for it. The layouts are those of Arrow's `Message.fbs` and
`File.fbs`.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pyarrow as pa

DICTIONARY, BATCH = 2, 3
"""Kinds of messages."""

_MOST_HEADER_BYTES = 64 * 2**20
_CONTINUED = -1


class Header(NamedTuple):
    """What the header of a message says.

    Attributes:
        kind: `DICTIONARY`, `BATCH` or another number.
        n_rows: rows of a batch, values of a dictionary.
        n_bytes: bytes in memory.
        end: the offset after the message.
    """

    kind: int
    n_rows: int
    n_bytes: int
    end: int


def header_at(file: Any, offset: int) -> Header | None:
    """The header of the message at an offset; None at the end of a stream.

    Raises:
        ArrowInvalid: when it is damaged.
    """
    try:
        return _header_at(file, offset)
    except (struct.error, ValueError) as error:
        raise pa.ArrowInvalid(f"the message at byte {offset:,} is damaged: {error}") from error


def messages_of_file(file: Any) -> tuple[list[int], list[int]]:
    """The offsets of the dictionaries and of the record batches, from the footer of an Arrow file.

    Raises:
        ArrowInvalid: when it is damaged.
    """
    try:
        end = file.seek(-10, 2)
        (size,) = struct.unpack("<i", file.read(4))
        file.seek(end - _checked(size))
        footer = _Table.root(file.read(size))
        return tuple([block[0] for block in footer.structs(index, "<qi4xq")] for index in (2, 3))  # type: ignore[return-value]
    except (struct.error, ValueError) as error:
        raise pa.ArrowInvalid(f"the footer is damaged: {error}") from error


def _header_at(file: Any, offset: int) -> Header | None:
    file.seek(offset)
    prefix = file.read(8)
    if len(prefix) < 8:
        return None
    marker, size = struct.unpack("<ii", prefix)
    # Until version 0.15 of Arrow, no marker came before the size.
    start, size = (offset + 8, size) if marker == _CONTINUED else (offset + 4, marker)
    if size == 0:
        return None
    file.seek(start)
    message = _Table.root(file.read(_checked(size)))
    kind, body, content = message.number(1, "<B"), start + size, message.table(2)
    end = body + message.number(3, "<q")
    if kind not in (DICTIONARY, BATCH):
        return Header(kind, 0, 0, end)
    batch = content.table(1) if kind == DICTIONARY else content
    buffers, is_compressed = batch.structs(2, "<qq"), batch.has(3)
    n_bytes = sum(_unpacked(file, body + at, length) if is_compressed else length for at, length in buffers)
    return Header(kind, batch.number(0, "<q"), n_bytes, end)


def _unpacked(file: Any, offset: int, length: int) -> int:
    """The bytes that a compressed buffer unpacks to; it begins with their number, or -1 where it is not compressed."""
    if length < 8:
        return 0
    file.seek(offset)
    (n_bytes,) = struct.unpack("<q", file.read(8))
    return length if n_bytes == -1 else max(int(n_bytes), 0)


def _checked(size: int) -> int:
    if not 0 < size <= _MOST_HEADER_BYTES:
        raise ValueError(f"a header of {size:,} bytes")
    return size


class _Table(NamedTuple):
    """A table in the encoding of FlatBuffers: its fields are found by their numbers."""

    data: bytes
    at: int

    @staticmethod
    def root(data: bytes) -> _Table:
        return _Table(data, _number(data, 0, "<I"))

    def has(self, index: int) -> bool:
        return self._offset(index) > 0

    def number(self, index: int, form: str) -> int:
        """A number, 0 where it is left out."""
        offset = self._offset(index)
        return _number(self.data, self.at + offset, form) if offset else 0

    def table(self, index: int) -> _Table:
        return _Table(self.data, self._target(index))

    def structs(self, index: int, form: str) -> list[tuple[int, ...]]:
        """The structs of a vector."""
        if not self.has(index):
            return []
        start = self._target(index)
        count, size = _number(self.data, start, "<I"), struct.calcsize(form)
        if count * size > len(self.data):
            raise ValueError(f"{count:,} parts in a header of {len(self.data):,} bytes")
        return [struct.unpack_from(form, self.data, start + 4 + place * size) for place in range(count)]

    def _offset(self, index: int) -> int:
        layout = self.at - _number(self.data, self.at, "<i")
        field = 4 + 2 * index
        return _number(self.data, layout + field, "<H") if field < _number(self.data, layout, "<H") else 0

    def _target(self, index: int) -> int:
        offset = self._offset(index)
        if not offset:
            raise ValueError("a part is missing")
        return self.at + offset + _number(self.data, self.at + offset, "<I")


def _number(data: bytes, at: int, form: str) -> int:
    if at < 0:
        raise ValueError("an offset below 0")
    return int(struct.unpack_from(form, data, at)[0])
