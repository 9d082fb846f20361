"""Arrays to Parquet and back: one row per neuron, and the options that keep counts small.

Counts are written with BYTE_STREAM_SPLIT and zstd, which compresses their leading zero bytes to almost nothing.
Files have checksums (and so do their pages, for other readers), so that a damaged file is an error rather than a wrong
number.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dna_pipelines
from dna_pipelines.errors import LakeError
from dna_pipelines.storage.checksums import parquet_with_checksum, verify_footer, verify_parquet
from dna_pipelines.storage.files import read, replace, write_new
from dna_pipelines.storage.layout import repair_of

T = TypeVar("T")

FORMAT = 1
"""The format of the tables, which is written into each file."""

_MALFORMED = (
    OSError, pa.ArrowException, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


def to_parquet(
    table: pa.Table, metadata: Mapping[str, Any], *, split: Sequence[str] = (), row_groups: Sequence[int] = ()
) -> bytes:
    """A table as the bytes of a Parquet file.

    Args:
        table: what to write.
        metadata: becomes key-value metadata, each value as JSON.
        split: leaf columns to write with BYTE_STREAM_SPLIT.
        row_groups: rows of each row group; one group where empty.
    """
    described = {"dna_format": FORMAT, "dna_writer": dna_pipelines.__version__, **metadata}
    table = table.replace_schema_metadata({key: json.dumps(value) for key, value in described.items()})
    buffer = io.BytesIO()
    options = {
        "compression": "zstd",
        "use_dictionary": [field.name for field in table.schema if field.name not in split],
        "column_encoding": dict.fromkeys(split, "BYTE_STREAM_SPLIT") or None,
        "write_page_checksum": True,
    }
    with pq.ParquetWriter(buffer, table.schema, **options) as writer:
        start = 0
        for n_rows in row_groups or [table.num_rows]:
            writer.write_table(table.slice(start, n_rows), row_group_size=max(n_rows, 1))
            start += n_rows
    return parquet_with_checksum(buffer.getvalue())


def read_parquet(
    path: Path, columns: Sequence[str] | None = None, row_groups: Sequence[int] | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """A table and its metadata. The whole file is verified, whichever part of it is read.

    Raises:
        LakeError: when the file is missing, damaged or of a newer format.
    """
    with damage_named(path):
        data = read(path)
        # A file without a checksum is one of an earlier version, whose pages have checksums.
        unverified = not verify_parquet(data)
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=unverified)
        metadata = {
            key.decode(): json.loads(value)
            for key, value in (file.schema_arrow.metadata or {}).items()
            if not key.startswith(b"ARROW")
        }
        groups = range(file.num_row_groups) if row_groups is None else row_groups
        table = file.read_row_groups(list(groups), columns=list(columns) if columns else None)
        _require_name(path, metadata)
    if metadata.get("dna_format", 0) > FORMAT:
        raise LakeError(
            f"{path} was written by dna_pipelines {metadata.get('dna_writer')}, which is newer; update dna_pipelines",
            code="lake.newer",
            path=str(path),
            writer=metadata.get("dna_writer"),
        )
    return table, metadata


def require_footer(path: Path) -> None:
    """Check that the footer of a file is sound, without reading its columns.

    Raises:
        LakeError: as `read_parquet`.
    """
    with damage_named(path):
        if not verify_footer(path):
            pq.ParquetFile(path).close()


def require_unchanged(path: Path, *, whole: bool) -> None:
    """Verify the checksum of a file, or that of its footer alone. A file without one passes.

    Raises:
        LakeError: as `read_parquet`.
    """
    with damage_named(path):
        if whole:
            verify_parquet(read(path))
        else:
            verify_footer(path)


def require_sound(path: Path) -> None:
    """Check every byte of a file; of one without a checksum, the pages and whether its columns can be read.

    Raises:
        LakeError: as `read_parquet`.
    """
    with damage_named(path):
        if verify_parquet(read(path)):
            return
    read_parquet(path)


def unless_damaged(path: Path, read_it: Callable[[], T]) -> T | None:
    """What a function reads from a file; None where the file is damaged."""
    try:
        with damage_named(path):
            return read_it()
    except LakeError as error:
        if error.code != "lake.damaged":
            raise
        return None


def put_table(path: Path, data: bytes) -> None:
    """Store a table that is written once: an existing file stays, unless it is damaged."""
    if write_new(path, data):
        return
    if is_damaged(path):
        replace(path, data)


def is_damaged(path: Path) -> bool:
    """Whether a file is there and damaged."""
    try:
        require_sound(path)
    except LakeError as error:
        if error.code not in ("lake.damaged", "lake.missing"):
            raise
        return error.code == "lake.damaged"
    return False


def _require_name(path: Path, metadata: Mapping[str, Any]) -> None:
    """A table of a DNA or a shard says whose it is: a file under the name of another is no table of that one."""
    for fact in ("dna_id", "shard_id"):
        if metadata.get(fact, path.stem) != path.stem:
            raise ValueError(f"it is a table of {metadata[fact]}")


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Where a file is read that is missing or malformed, raise an error that names it.

    Only files without a checksum can be malformed in ways that a parser does not notice; what is then wrong with their
    columns shows as any error of the code that reads them.

    Raises:
        LakeError: see `read_parquet`.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise LakeError(
            f"{path} is missing; `dna run` recomputes it if the images are available",
            code="lake.missing",
            path=str(path),
        ) from error
    except _MALFORMED as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise LakeError(
            f"{path} is damaged ({problem}); {repair_of(path)}",
            code="lake.damaged",
            path=str(path),
            problem=problem,
        ) from error


def list_column(values: NDArray[Any]) -> pa.ListArray:
    """A two-dimensional array as a column of lists."""
    offsets = np.arange(0, values.size + 1, values.shape[1] or 1, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets[: len(values) + 1], pa.array(np.ascontiguousarray(values).reshape(-1)))


def matrix(column: pa.ChunkedArray, width: int) -> NDArray[Any]:
    """A column of lists of one length as a two-dimensional array."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return np.concatenate(parts) if len(parts) != 1 else parts[0]


def vector(table: pa.Table, name: str) -> NDArray[Any]:
    """A plain column as an array."""
    return np.asarray(table[name].to_numpy())
