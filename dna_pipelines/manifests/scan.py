"""Scanning: from a source's listing and the previous manifest to the new manifest.

Only files whose signature changed are read again, and only bytes never seen before are decoded.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.identity import block_of, digest_of, stable_hash
from dna_pipelines.manifests.file_rows import FileReader, bounded_read, by_file
from dna_pipelines.manifests.grouping import grouping
from dna_pipelines.manifests.lost import lost_images
from dna_pipelines.manifests.manifest import OK, RETRIED, ImageRow, Manifest, display_name
from dna_pipelines.manifests.sampling import sample
from dna_pipelines.manifests.shards import Known, cut_shards
from dna_pipelines.sources import Entry, Source
from dna_pipelines.sources.base import TableFile
from dna_pipelines.sources.image_folder import chosen
from dna_pipelines.sources.names import rows_of_images

SETTLING_NS = 2_000_000_000
"""A file modified this shortly before a scan may change again without its time changing
(the coarsest clock of a common file system, FAT, ticks every two seconds)."""

Metadata = Mapping[str, Mapping[str, str]]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scan:
    """A listing of a source, with the changes that only a second read of recently modified files shows."""

    entries: tuple[Entry, ...]
    n_ignored: int
    unsettled: frozenset[bytes]
    n_not_sampled: int = 0
    """Files that the dataset's `every` and `limit` exclude."""
    ignored: bytes | None = None
    """An ignored file, as an example."""
    remarks: tuple[str, ...] = ()
    """See `Listing.remarks`."""
    tables: tuple[TableFile, ...] = ()
    """The tables among the files that describe the images, those of outer folders first."""

    @cached_property
    def raw_version(self) -> str:
        """A hash of names, signatures and counts: equal as long as no change is visible."""
        tables = [[os.fsdecode(table.path), table.signature] for table in self.tables]
        return stable_hash([raw_version(self.entries), self.n_ignored, self.n_not_sampled, *tables])


def raw_version(entries: Sequence[Entry]) -> str:
    """A hash over every path and its signature."""
    hasher = hashlib.sha256()
    for texts in ([entry[0] for entry in entries], [entry[2].encode() for entry in entries]):
        # Lengths first, so that different listings never join to the same bytes.
        hasher.update(array("Q", [len(texts), *map(len, texts)]).tobytes())
        hasher.update(b"".join(texts))
    return hasher.hexdigest()[:24]


def scan_source(
    source: Source,
    config: DatasetConfig,
    previous: Callable[[], Manifest | None],
    n_unsettled: int,
    last_refresh_ns: int = 0,
) -> Scan:
    """List a source, and draw the sample that the dataset asks for.

    Args:
        source: the source.
        config: of the dataset.
        previous: fetches the previous manifest; called only when it has unsettled files.
        n_unsettled: how many unsettled files the previous manifest has.
        last_refresh_ns: when the last successful refresh began; it read every file again that was unsettled then.

    Raises:
        SourceError: when the location cannot be listed.
    """
    now_ns = time.time_ns()
    listing = source.list()
    entries = sample(listing.entries, config)
    n_not_sampled = len(listing.entries) - len(entries)
    if n_unsettled and (manifest := previous()) is not None:
        settled_ns = last_refresh_ns - SETTLING_NS
        entries = [_read_again(entry, manifest, source, settled_ns) for entry in entries]
    limit = now_ns - SETTLING_NS
    unsettled = frozenset(
        entry.path for entry in entries if entry.modified_ns is not None and entry.modified_ns > limit
    )
    tables, unused = ([], list(listing.tables)) if config.metadata else chosen(listing.tables)
    n_ignored = listing.n_ignored + sum(not table.within for table in unused)
    remarks = (*listing.remarks, *_on_unused(unused, config))
    return Scan(tuple(entries), n_ignored, unsettled, n_not_sampled, listing.ignored, remarks, tuple(tables))


def _on_unused(tables: Sequence[TableFile], config: DatasetConfig) -> Iterator[str]:
    """That a table among the images is not used, although nothing leaves it out."""
    declared = posixpath.normpath(config.metadata.uri) if config.metadata else ""
    names = [display_name(table.path) for table in tables if not table.within]
    others = [name for name in names if posixpath.normpath(f"{config.uri}/{name}") != declared]
    if others:
        reason = "the dataset has a `metadata` table of its own" if declared else "another in its folder is used"
        yield f"{len(others):,} metadata files among the images are not used, such as {others[0]}, because {reason}"


def _read_again(entry: Entry, manifest: Manifest, source: Source, settled_ns: int) -> Entry:
    """Read an unsettled file again; a change that its time does not show becomes part of its signature.

    A file modified before `settled_ns` has been read again already. Files without times are always read again.
    """
    row = manifest.by_path.get(entry.path)
    if row is None or entry.path not in manifest.unsettled or not _same_file(row.signature, entry.signature):
        return entry
    if entry.modified_ns is not None and entry.modified_ns < settled_ns:
        return entry._replace(signature=row.signature)
    try:
        digest = digest_of(bounded_read(source, entry))
    except (OSError, Unreadable):
        return entry
    if row.of_file == digest:
        return entry._replace(signature=row.signature)
    return entry._replace(signature=f"{entry.signature}~{digest[:12]}")


def _same_file(recorded: str, listed: str) -> bool:
    return recorded.partition("~")[0] == listed


def build_manifest(
    scan: Scan,
    source: Source,
    config: DatasetConfig,
    previous: Manifest | None = None,
    metadata: Metadata | None = None,
    *,
    workers: int = 8,
    on_progress: OnProgress | None = None,
    known_shards: Known | None = None,
) -> Manifest:
    """The manifest of the files of a scan.

    Args:
        scan: the listing.
        source: reads the files that are new or changed.
        config: of the dataset.
        previous: the manifest before; unchanged files keep their rows.
        metadata: the metadata table, by image path.
        workers: threads that read and decode.
        on_progress: called with the number of files read and of files to read.
        known_shards: finds existing shards among added images.

    Raises:
        SourceError: when reading fails because of the location, not because of a file (`source.read-failed`), or a page
            has the name of a file (`source.page-name`).
    """
    known = by_file(previous) if previous else {}
    reader = FileReader(source, config, {row.of_file: rows for rows in known.values() if (row := rows[0]).of_file})
    images: dict[bytes, list[ImageRow]] = {}
    fresh: list[Entry] = []
    for entry in scan.entries:
        rows = known.get(entry.path, [])
        if rows and not entry.problem and all(_is_unchanged(row, entry) for row in rows):
            size = entry.size_bytes
            images[entry.path] = rows if size is None else [row._replace(size_bytes=size) for row in rows]
        else:
            fresh.append(entry)
    with ThreadPoolExecutor(workers) as pool:
        for done, (entry, rows) in enumerate(_in_order(pool, reader.rows, fresh), start=1):
            images[entry.path] = rows
            if on_progress:
                on_progress(done, len(fresh))
    lost = lost_images(scan.entries, previous)
    read = [(row, entry) for entry in scan.entries for row in _named(images, entry.path)]
    described = _described(read, grouping(config), metadata or {})
    readable = [row for row in described if row.status == OK]
    items, previous_shards = [row.item for row in readable], previous.shards if previous else ()
    shards = cut_shards(items, previous_shards, config.shard_size, known_shards)
    shard_ids = defaultdict(list)
    for shard in shards:
        for item in shard.items:
            shard_ids[item].append(shard.id)
    assigned = tuple(
        row._replace(shard_id=shard_ids[row.item].pop(0), block=block_of(row.item))
        if row.status == OK
        else row._replace(shard_id=None, block=None)
        for row in described
    )
    return Manifest(assigned, shards, scan.unsettled, scan.n_ignored, scan.n_not_sampled, lost)


def _is_unchanged(row: ImageRow, entry: Entry) -> bool:
    return row.signature == entry.signature and row.reason not in RETRIED


def _in_order(
    pool: ThreadPoolExecutor, read: Callable[[Entry], list[ImageRow]], entries: Sequence[Entry]
) -> Iterator[tuple[Entry, list[ImageRow]]]:
    """Map with a bounded number of files in flight, so that an interruption does not wait for all of them."""
    window = 256
    for start in range(0, len(entries), window):
        some = entries[start : start + window]
        yield from zip(some, pool.map(read, some), strict=True)


def _named(images: Mapping[bytes, list[ImageRow]], file: bytes) -> list[ImageRow]:
    """The rows of a file.

    Raises:
        SourceError: where one of its pages has the name of another file (`source.page-name`).
    """
    for row in images[file]:
        if row.path != file and row.path in images:
            name = display_name(row.path)
            raise SourceError(
                f"{name} is a file, and so would page {row.page} of {display_name(file)} be called; rename one of them",
                code="source.page-name",
                path=name,
                page=row.page,
            )
    return images[file]


def _described(
    rows: Sequence[tuple[ImageRow, Entry]], group: Callable[[ImageRow], str | None], table: Metadata
) -> list[ImageRow]:
    """Join the metadata of images: those of their locations and those of the table, which override them."""
    named = rows_of_images(table, (row.name for row, _ in rows)) if table else {}
    described = []
    for row, entry in rows:
        # The metadata of a file are those of its pages, unless the table names a page.
        key = named.get(row.name) or named.get(display_name(row.file))
        has_metadata = key is not None or entry.metadata is not None
        joined = {**(entry.metadata or {}), **(table[key] if key is not None else {})} if has_metadata else None
        with_metadata = row._replace(metadata=joined)
        described.append(with_metadata._replace(group=group(with_metadata) if row.status == OK else None))
    return described
