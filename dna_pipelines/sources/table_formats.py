"""Parquet and Arrow files, read group by group: row groups of Parquet, record batches of Arrow.

Both have one interface: a schema, the groups with their numbers of rows, and the batches of one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

Group = tuple[int, int]
"""The position of a group, and its number of rows."""

_BATCH_ROWS = 16
"""Rows to decode at once; few, because they are images. (Parquet decodes a page as a whole, whatever the number.)"""

_BATCH_BYTES = 64 * 2**20
"""Bytes to decode at once, as far as the directory of the file tells."""


class TableFile(Protocol):
    """An opened file of rows."""

    schema: pa.Schema

    def groups(self) -> list[Group]:
        """The groups in order."""
        ...

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a group, at most `n_rows` rows at a time."""
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
        n_rows = min(n_rows, max(_BATCH_BYTES // self._row_bytes(group[0], columns), 1))
        yield from self._file.iter_batches(n_rows, row_groups=[group[0]], columns=list(columns), use_threads=False)

    def _row_bytes(self, group: int, columns: Sequence[str]) -> int:
        """How large a row may be: in a dictionary one value may be all of it; elsewhere the mean is taken."""
        row_group, n_bytes = self._file.metadata.row_group(group), 1
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            if any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in columns):
                n_values = 1 if chunk.has_dictionary_page else max(chunk.num_values, 1)
                n_bytes += max(chunk.total_uncompressed_size, 0) // n_values
        return n_bytes


class ArrowFile:
    """An Arrow IPC file (Feather), with a directory of its record batches."""

    def __init__(self, file: Any) -> None:
        self._file = pa.ipc.open_file(file)
        self.schema = self._file.schema

    def groups(self) -> list[Group]:
        """The record batches."""
        return [(index, self._file.get_batch(index).num_rows) for index in range(self._file.num_record_batches)]

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a record batch."""
        yield from _slices(self._file.get_batch(group[0]), columns, n_rows)


class ArrowStream:
    """An Arrow IPC stream, the format of Hugging Face's datasets: a batch is known by its offset."""

    def __init__(self, file: Any) -> None:
        self._file = pa.PythonFile(file, "r")
        self.schema = pa.ipc.read_schema(self._file)
        if any(pa.types.is_dictionary(field.type) for field in self.schema):
            raise pa.ArrowInvalid("an Arrow stream with dictionaries cannot be read by offset; write it as Parquet")

    def groups(self) -> list[Group]:
        """The record batches; finding them requires reading the stream once."""
        groups: list[Group] = []
        while True:
            offset = self._file.tell()
            try:
                message = pa.ipc.read_message(self._file)
            except EOFError:
                return groups
            groups.append((offset, pa.ipc.read_record_batch(message, self.schema).num_rows))

    def batches(self, group: Group, columns: Sequence[str], n_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Some columns of a record batch."""
        self._file.seek(group[0])
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self.schema)
        yield from _slices(batch, columns, n_rows)


def _slices(batch: pa.RecordBatch, columns: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
    """A batch in pieces; of a struct whose field is wanted (`image.path`) the whole is in memory anyway."""
    columns_of_batch = set(batch.schema.names)
    chosen = batch.select([name if name in columns_of_batch else name.rpartition(".")[0] for name in columns])
    # Arrow trusts the buffer sizes in the file, and a damaged file would end the process.
    chosen.validate(full=True)
    for start in range(0, batch.num_rows, n_rows):
        yield chosen.slice(start, n_rows)
