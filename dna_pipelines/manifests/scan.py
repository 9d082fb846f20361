"""Scanning: from a source's listing and the previous manifest to the new manifest.

Only files whose signature changed are read again, and only bytes never seen before are decoded.
"""

from __future__ import annotations

import hashlib
import re
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.identity import block_of, digest_of, stable_hash
from dna_pipelines.imaging import ImageInfo, decode_with_info
from dna_pipelines.manifests.lost import lost_images
from dna_pipelines.manifests.manifest import OK, QUARANTINED, RETRIED, VANISHED, ImageRow, Manifest, display_name
from dna_pipelines.manifests.sampling import sample
from dna_pipelines.manifests.shards import Known, cut_shards
from dna_pipelines.sources import Entry, Source
from dna_pipelines.sources.base import MAX_IMAGE_BYTES
from dna_pipelines.sources.failures import failure_facts

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

    @cached_property
    def raw_version(self) -> str:
        """A hash of names, signatures and counts: equal as long as no change is visible."""
        return stable_hash([raw_version(self.entries), self.n_ignored, self.n_not_sampled])


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
    return Scan(tuple(entries), listing.n_ignored, unsettled, n_not_sampled, listing.ignored, listing.remarks)


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
        digest = digest_of(_bounded_read(source, entry))
    except (OSError, Unreadable):
        return entry
    if row.digest == digest:
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
        SourceError: when reading fails because of the location, not because of a file (`source.read-failed`).
    """
    known = previous.by_path if previous else {}
    by_digest: dict[str | None, ImageRow] = {row.digest: row for row in previous.rows if row.digest} if previous else {}
    rows: dict[bytes, ImageRow] = {}
    fresh: list[Entry] = []
    for entry in scan.entries:
        row = known.get(entry.path)
        if row and row.signature == entry.signature and row.reason not in RETRIED and not entry.problem:
            rows[entry.path] = row if entry.size_bytes is None else row._replace(size_bytes=entry.size_bytes)
        else:
            fresh.append(entry)
    read = partial(_read_row, source=source, by_digest=by_digest)
    with ThreadPoolExecutor(workers) as pool:
        for done, row in enumerate(_in_order(pool, read, fresh), start=1):
            rows[row.path] = row
            if on_progress:
                on_progress(done, len(fresh))
    group, lost = grouping(config), lost_images(scan.entries, previous)
    described = [_describe(rows[entry.path], entry, group, metadata) for entry in scan.entries]
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


def _in_order(
    pool: ThreadPoolExecutor, read: Callable[[Entry], ImageRow], entries: Sequence[Entry]
) -> Iterator[ImageRow]:
    """Map with a bounded number of files in flight, so that an interruption does not wait for all of them."""
    window = 256
    for start in range(0, len(entries), window):
        yield from pool.map(read, entries[start : start + window])


def _read_row(entry: Entry, source: Source, by_digest: Mapping[str | None, ImageRow]) -> ImageRow:
    digest = None
    try:
        if entry.problem:
            raise Unreadable("cannot be read", entry.problem)
        data = _read(source, entry)
        digest = digest_of(data)
        if seen := by_digest.get(digest):
            return seen._replace(path=entry.path, size_bytes=len(data), signature=entry.signature)
        info = _decoded_info(data)
    except Unreadable as error:
        size = entry.size_bytes or 0
        return ImageRow(
            entry.path, size, entry.signature, QUARANTINED, digest, reason=error.reason, detail=error.detail
        )
    return ImageRow(
        entry.path, len(data), entry.signature, OK, digest, None, info.width_px, info.height_px, info.format,
        detail=info.assumed or None,
    )  # fmt: skip


def _decoded_info(data: bytes) -> ImageInfo:
    try:
        return decode_with_info(data)[1]
    except MemoryError as error:
        raise Unreadable("too large", "this machine has not enough memory to decode it") from error


def _read(source: Source, entry: Entry) -> bytes:
    try:
        return _bounded_read(source, entry)
    except FileNotFoundError as error:
        raise Unreadable(VANISHED, "it was listed, and gone when it was read") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise Unreadable("cannot be read", str(error.strerror or error)) from error
    except OSError as error:
        raise SourceError(
            f"reading {entry.path!r} failed: {error}; nothing was changed, run again",
            code="source.read-failed",
            path=display_name(entry.path),
            **failure_facts(error),
        ) from error


def _bounded_read(source: Source, entry: Entry) -> bytes:
    """Read a file, unless it claims to be larger than any image, as a member of an archive may."""
    if entry.size_bytes is not None and entry.size_bytes > MAX_IMAGE_BYTES:
        raise Unreadable(
            "too large", f"{entry.size_bytes:,} bytes, the limit is {MAX_IMAGE_BYTES:,}", size_bytes=entry.size_bytes
        )
    return source.read(entry.path)


def _describe(row: ImageRow, entry: Entry, group: Callable[[ImageRow], str | None], table: Metadata | None) -> ImageRow:
    """Join the metadata of an image: those of its location and those of the table, which override them."""
    from_table = table.get(row.name) if table is not None else None
    has_metadata = from_table is not None or entry.metadata is not None
    joined = {**(entry.metadata or {}), **(from_table or {})} if has_metadata else None
    row = row._replace(metadata=joined)
    return row._replace(group=group(row) if row.status == OK else None)


def grouping(config: DatasetConfig) -> Callable[[ImageRow], str | None]:
    """How the rows of a dataset are grouped into sampling units."""
    kind, _, argument = (config.group_by or "").partition(":")
    if kind == "folder":
        return lambda row: row.name.rpartition("/")[0]
    if kind == "column":
        return lambda row: (row.metadata or {}).get(argument)
    if kind == "regex":
        pattern = re.compile(argument)
        return lambda row: match[1] if (match := pattern.search(row.name)) else None
    return lambda _row: None
