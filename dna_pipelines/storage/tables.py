"""Arrays to Parquet and back: one row per neuron, and the options that keep counts small.

Counts are written with BYTE_STREAM_SPLIT and zstd, which compresses their leading zero bytes to almost nothing.
Pages have checksums, so that a damaged file is an error rather than a wrong number.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dna_pipelines
from dna_pipelines.errors import LakeError

FORMAT = 1
"""The format of the tables, which is written into each file."""


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
    return buffer.getvalue()


def read_parquet(
    path: Path, columns: Sequence[str] | None = None, row_groups: Sequence[int] | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """A table and its metadata.

    Raises:
        LakeError: when the file is missing, damaged or of a newer format.
    """
    with _opened(path) as file:
        metadata = {
            key.decode(): json.loads(value)
            for key, value in (file.schema_arrow.metadata or {}).items()
            if not key.startswith(b"ARROW")
        }
        groups = range(file.num_row_groups) if row_groups is None else row_groups
        table = file.read_row_groups(list(groups), columns=list(columns) if columns else None)
    if metadata.get("dna_format", 0) > FORMAT:
        raise LakeError(
            f"{path} was written by dna_pipelines {metadata.get('dna_writer')}, which is newer; update dna_pipelines",
            code="lake.newer",
            path=str(path),
            writer=metadata.get("dna_writer"),
        )
    return table, metadata


def require_footer(path: Path) -> None:
    """Check that a file is not cut off or overwritten, without reading its columns.

    Raises:
        LakeError: as `read_parquet`.
    """
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError as error:
        raise LakeError(
            f"{path} is missing; `dna run` recomputes it if the images are available",
            code="lake.missing",
            path=str(path),
        ) from error
    except (OSError, pa.ArrowException, ValueError) as error:
        problem = " ".join(str(error).split())
        raise LakeError(
            f"{path} is damaged ({problem}); remove it and run `dna run` to recompute it",
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
