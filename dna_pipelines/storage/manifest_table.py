"""Manifests as Parquet: one row per image, paths as bytes and as text."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dna_pipelines.identity import Item
from dna_pipelines.manifests import ImageRow, Manifest, Shard
from dna_pipelines.manifests.manifest import MORE_COLUMNS, OK
from dna_pipelines.storage.records import ShardRecord
from dna_pipelines.storage.tables import damage_named, read_parquet, to_parquet

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("digest", pa.string()),
        ("group", pa.string()),
        ("size_bytes", pa.int64()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("format", pa.string()),
        ("shard_id", pa.string()),
        ("block", pa.int16()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("signature", pa.string()),
        ("unsettled", pa.bool_()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("page", pa.int32()),
        ("reading", pa.string()),
        ("file_digest", pa.string()),
        ("n_clipped", pa.int64()),
    ]
)
"""The columns of a manifest; `path` is for display, `path_bytes` is the name."""

_SAME = (
    "digest", "group", "size_bytes", "width_px", "height_px", "format", "shard_id", "block", "status",
    "reason", "detail", "signature", *MORE_COLUMNS,
)  # fmt: skip


def manifest_to_parquet(dataset: str, manifest: Manifest) -> bytes:
    """A manifest as the bytes of a file."""
    rows = manifest.rows
    columns: dict[str, Any] = {name: [_text(getattr(row, name)) for row in rows] for name in _SAME}
    columns["dataset"] = [dataset] * len(rows)
    columns["path"] = [row.name for row in rows]
    columns["path_bytes"] = [row.path for row in rows]
    columns["unsettled"] = [row.path in manifest.unsettled for row in rows]
    columns["metadata"] = [
        None if row.metadata is None else [(_text(name), _text(value)) for name, value in row.metadata.items()]
        for row in rows
    ]
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    counts: dict[str, Any] = {"n_ignored": manifest.n_ignored, "n_not_sampled": manifest.n_not_sampled}
    if manifest.lost:
        counts["lost"] = {os.fsdecode(path): n for path, n in manifest.lost.items()}
    return to_parquet(table, {"dataset": dataset, **counts})


def read_manifest(path: Path, shards: tuple[ShardRecord, ...]) -> Manifest:
    """A manifest, with its shards in the order of the commit record.

    Raises:
        LakeError: when it is missing or damaged.
    """
    with damage_named(path):
        table, metadata = read_parquet(path)
        return _manifest(table, metadata, shards)


def _manifest(table: pa.Table, metadata: dict[str, Any], shards: tuple[ShardRecord, ...]) -> Manifest:
    nothing: list[Any] = [None] * len(table)
    columns: dict[str, list[Any]] = {
        name: nothing if name in MORE_COLUMNS and name not in table.column_names else table[name].to_pylist()
        for name in SCHEMA.names
        if name not in ("dataset", "path")
    }
    rows: list[ImageRow] = []
    unsettled: set[bytes] = set()
    items: dict[str, list[Item]] = {}
    for index, name in enumerate(columns["path_bytes"]):
        pairs = columns["metadata"][index]
        same = {key: columns[key][index] for key in _SAME}
        row = ImageRow(path=name, metadata=None if pairs is None else dict(pairs), **same)
        rows.append(row)
        if columns["unsettled"][index]:
            unsettled.add(name)
        if row.shard_id is not None:
            items.setdefault(row.shard_id, []).append(row.item)
    # Copies of the same images can fill several shards of the same id; each of those has every n-th copy.
    n_alike = Counter(record.shard_id for record in shards)
    cut = [Shard(_every(n_alike[record.shard_id], items[record.shard_id]), record.parents) for record in shards]
    counts = (metadata["n_ignored"], metadata.get("n_not_sampled", 0))
    lost = {os.fsencode(name): n for name, n in metadata.get("lost", {}).items()}
    return Manifest(tuple(rows), tuple(cut), frozenset(unsettled), *counts, lost)


def read_members(path: Path) -> tuple[list[Item], list[str]]:
    """The readable images of a manifest, and their paths for display."""
    with damage_named(path):
        table, _ = read_parquet(path, ["digest", "group", "path", "status"])
        table = table.filter(pc.equal(table["status"], OK))
        digests, groups, paths = (table[name].to_pylist() for name in ("digest", "group", "path"))
        return [Item(digest, group) for digest, group in zip(digests, groups, strict=True)], paths


def _every(n: int, items: list[Item]) -> tuple[Item, ...]:
    return tuple(items if n == 1 else sorted(items, key=lambda item: (item.digest, item.group or ""))[::n])


def _text(value: Any) -> Any:
    """Text that a database can store: bytes that are not UTF-8 are escaped."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            # Half a surrogate pair, which JSON can have.
            return value.encode("utf-8", "backslashreplace").decode()
    return value
