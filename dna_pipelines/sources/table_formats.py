"""Parquet and Arrow files, read group by group: row groups of Parquet, record batches of Arrow.

Both have one interface: a schema, the groups with their numbers of rows, and the batches of one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dna_pipelines.sources.arrow_messages import BATCH, DICTIONARY, Header, header_at, messages_of_file
from dna_pipelines.sources.memory import most_in_memory

Group = tuple[int, int]
"""The position of a group, and its number of rows."""

_BATCH_ROWS = 16
"""Rows to decode at once; few, because they are images. (Parquet decodes a page as a whole, whatever the number.)"""

_BATCH_BYTES = 64 * 2**20
"""Bytes to decode at once, as far as the directory of the file tells."""


class TooLarge(pa.ArrowInvalid):  # type: ignore[misc]
    """A part of a file would unpack to far more bytes than it has, as no images do."""


class TableFile(Protocol):
    """An opened file of rows."""

    schema: pa.Schema

    def n_bytes(self, group: Group, columns: Sequence[str]) -> int:
        """The bytes of a group in memory.

        Raises:
            TooLarge: when they are far more than the file has.
        """
        ...

    def groups(self) -> list[Group]:
        """The groups in order."""
        ...

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a group, at most `n_rows` rows at a time.

        Raises:
            TooLarge: see `n_bytes`.
        """
        ...


def open_table(file: Any) -> TableFile:
    """Open a file of rows; its first bytes tell the format.

    Raises:
        ArrowInvalid: when the file is of no known format, or damaged.
    """
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"PAR1"):
        return ParquetTable(file)
    return ArrowFile(file) if magic == b"ARROW1" else ArrowStream(file)


class ParquetTable:
    """A Parquet file."""

    def __init__(self, file: Any) -> None:
        # Without pre-buffering, a group is read as it is consumed, and not as a whole.
        self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
        self.schema = self._file.schema_arrow

    def groups(self) -> list[Group]:
        """The row groups."""
        metadata = self._file.metadata
        return [(group, metadata.row_group(group).num_rows) for group in range(metadata.num_row_groups)]

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a row group."""
        self.n_bytes(group, columns)
        n_rows = min(n_rows, max(_BATCH_BYTES // self._row_bytes(group[0], columns), 1))
        yield from self._file.iter_batches(n_rows, row_groups=[group[0]], columns=list(columns), use_threads=False)

    def n_bytes(self, group: Group, columns: Sequence[str]) -> int:
        """The bytes of the columns of a row group, as its directory claims them."""
        total = 0
        for chunk in self._chunks(group[0], columns):
            total += _plausible(max(chunk.total_uncompressed_size, 0), max(chunk.total_compressed_size, 0))
        return total

    def _row_bytes(self, group: int, columns: Sequence[str]) -> int:
        """How large a row may be: in a dictionary one value may be all of it; elsewhere the mean is taken."""
        n_bytes = 1
        for chunk in self._chunks(group, columns):
            n_values = 1 if chunk.has_dictionary_page else max(chunk.num_values, 1)
            n_bytes += max(chunk.total_uncompressed_size, 0) // n_values
        return n_bytes

    def _chunks(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        """The directory's entries for columns, or for fields of them."""
        row_group = self._file.metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            if any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in columns):
                yield chunk


class ArrowFile:
    """An Arrow IPC file (Feather), with a directory of its record batches."""

    def __init__(self, file: Any) -> None:
        self._source = file
        self._dictionaries, self._batches = messages_of_file(file)
        self._file = pa.ipc.open_file(file)
        self.schema = self._file.schema

    def groups(self) -> list[Group]:
        """The record batches."""
        return [(index, self._header(offset).n_rows) for index, offset in enumerate(self._batches)]

    def n_bytes(self, group: Group, _columns: Sequence[str]) -> int:
        """The bytes of a record batch, of which pyarrow reads all columns, and of the dictionaries."""
        offsets = (*self._dictionaries, self._batches[group[0]])
        return sum(_plausible(header.n_bytes, header.end - at) for at in offsets if (header := self._header(at)))

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a record batch."""
        self.n_bytes(group, columns)
        yield from _slices(self._file.get_batch(group[0]), columns, n_rows)

    def _header(self, offset: int) -> Header:
        if (header := header_at(self._source, offset)) is None:
            raise pa.ArrowInvalid(f"there is no message at byte {offset:,}")
        return header


class ArrowStream:
    """An Arrow IPC stream, the format of Hugging Face's datasets: a batch is known by its offset."""

    def __init__(self, file: Any) -> None:
        self._file = pa.PythonFile(file, "r")
        self.schema = pa.ipc.read_schema(self._file)
        self._start: int = self._file.tell()
        self._dictionaries: list[int] | None = None

    def groups(self) -> list[Group]:
        """The record batches."""
        return [(at, header.n_rows) for at, header in self._messages() if header.kind == BATCH]

    def n_bytes(self, group: Group, _columns: Sequence[str]) -> int:
        """The bytes of a record batch, of which pyarrow reads all columns, and of the dictionaries before it."""
        offsets = (*self._before(group), group[0])
        headers = [(at, header_at(self._file, at)) for at in offsets]
        return sum(_plausible(header.n_bytes, header.end - at) for at, header in headers if header)

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a record batch."""
        self.n_bytes(group, columns)
        # The same stream without the batches before this one, because it is the reader that keeps dictionaries.
        parts = [self._bytes(0, self._start)]
        for at in (*self._before(group), group[0]):
            header = header_at(self._file, at)
            parts.append(self._bytes(at, header.end if header else at))
        yield from _slices(pa.ipc.open_stream(b"".join(parts)).read_next_batch(), columns, n_rows)

    def _before(self, group: Group) -> list[int]:
        """The offsets of the dictionaries before a batch; later ones may replace earlier ones."""
        if not any(_has_dictionary(field.type) for field in self.schema):
            return []
        if self._dictionaries is None:
            self._dictionaries = [at for at, header in self._messages() if header.kind == DICTIONARY]
        return [at for at in self._dictionaries if at < group[0]]

    def _messages(self) -> Iterator[tuple[int, Header]]:
        """The headers of all messages after the schema, with their offsets."""
        offset, size = self._start, self._file.size()
        while (header := header_at(self._file, offset)) is not None:
            if not offset < header.end <= size:
                raise pa.ArrowInvalid(f"the message at byte {offset:,} is cut")
            yield offset, header
            offset = header.end

    def _bytes(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        data: bytes = self._file.read(end - start)
        return data


def _has_dictionary(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return True
    return any(_has_dictionary(kind.field(index).type) for index in range(kind.num_fields))


def _plausible(n_bytes: int, size_bytes: int) -> int:
    """The bytes that a part of a file unpacks to, unless they are far more than it has."""
    if n_bytes > (most := most_in_memory(size_bytes)):
        raise TooLarge(f"{size_bytes:,} bytes unpack to {n_bytes:,}; the limit for them is {most:,}")
    return n_bytes


def _slices(batch: pa.RecordBatch, columns: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
    """A batch in pieces; of a struct whose field is wanted (`image.path`) the whole is in memory anyway."""
    columns_of_batch = set(batch.schema.names)
    chosen = batch.select([name if name in columns_of_batch else name.rpartition(".")[0] for name in columns])
    # Arrow trusts the buffer sizes in the file, and a damaged file would end the process.
    chosen.validate(full=True)
    for start in range(0, batch.num_rows, n_rows):
        yield chosen.slice(start, n_rows)
