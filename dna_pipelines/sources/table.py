"""Tables whose rows are images (Parquet, Arrow), one file or many: the layout of Hugging Face's datasets.

A row is known by its file and its index in the file. The other columns with one value per row become metadata.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.base import MAX_IMAGE_BYTES, Entry, Listing, Selection
from dna_pipelines.sources.file_patterns import find_files
from dna_pipelines.sources.files import SourceFile
from dna_pipelines.sources.listings_cache import FileLister, FileListing, ListingsCache, Member
from dna_pipelines.sources.memory import IN_FLIGHT
from dna_pipelines.sources.remote import Options
from dna_pipelines.sources.table_columns import image_column, metadata_of
from dna_pipelines.sources.table_formats import Group, TooLarge, open_table
from dna_pipelines.sources.temporary_files import RecentValues, TemporaryBytes, most_unpacked


class TableSource:
    """The rows of tables. Globs and excludes choose among the files."""

    def __init__(
        self,
        uri: str,
        selection: Selection,
        suffixes: Sequence[str],
        options: Options | None = None,
        cache: ListingsCache | None = None,
        image_column: str | None = None,
        base: str = "",
    ) -> None:
        self._uri = uri
        self._selection = selection
        self._suffixes = suffixes
        self._options = options
        self._column = image_column
        self._base = base
        self._lister = FileLister(self._list_file, f"rows 2 {image_column}", cache)
        self._groups = RecentValues(self._read_group)
        self._lock = threading.Lock()
        self._files: dict[bytes, SourceFile] | None = None

    def list(self) -> Listing:
        """One entry per row. The images themselves are not read."""
        all_files, entries = find_files(self._uri, self._suffixes, self._options, self._base)
        files = [file for file in all_files if self._selection.admits(file.name)]
        remarks: dict[str, str] = {}
        for file, listing in zip(files, self._lister.all(files), strict=True):
            for column, fault in listing.faults.items():
                remarks.setdefault(column, f"the column {column} of {file.display_uri} is {fault}")
            if listing.damage and file.is_whole:
                raise SourceError(
                    f"{file.display_uri} cannot be opened as a table: {listing.damage}",
                    code="source.damaged",
                    uri=file.display_uri,
                    format="table",
                    damage=listing.damage,
                )
            if listing.damage:
                size, holds = file.entry.size_bytes, file.name + b"/"
                entries.append(Entry(file.name, size, "broken", None, listing.damage, None, holds))
            signature, modified_ns = file.entry.signature, file.entry.modified_ns
            for member in listing.members:
                path, own = b"%b/%b" % (file.name, member.name), f"{signature}#{member.start}"
                entries.append(Entry(path, None, own, modified_ns, None, member.metadata))
        self._files = {file.name: file for file in files}
        n_ignored = len(all_files) - len(files)
        ignored = next((file.name for file in all_files if file.name not in self._files), None)
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored, tuple(remarks.values()))

    def read(self, path: bytes) -> bytes:
        """The image in one row."""
        with self._lock:
            if self._files is None:
                self.list()
        name, _, number = path.rpartition(b"/")
        file = (self._files or {}).get(name)
        listing = self._lister.one(file) if file else FileListing([])
        if file is None or not number.isdigit() or int(number) >= len(listing.members):
            raise FileNotFoundError(f"{self._uri} has no row {path!r}")
        ends = list(accumulate(n_rows for _, n_rows in listing.groups))
        group = bisect_right(ends, int(number))
        rows = self._groups.get((name, file.entry.signature, group))
        return rows.read(int(number) - (ends[group - 1] if group else 0))

    def _list_file(self, file: SourceFile) -> FileListing:
        with file.open() as opened:
            try:
                table = open_table(opened)
                column = image_column(table.schema, self._column, file.display_uri)
                groups = _plausible(table.groups(), file)
                metadata, faults = metadata_of(table, groups, column, file.entry.size_bytes)
            except MemoryError:
                raise
            except Exception as error:
                if opened.failure or isinstance(error, SourceError):
                    raise
                return FileListing([], damage=f"the table is damaged: {type(error).__name__}: {error}")
        members = [Member(b"%09d" % row, row, None, None, values) for row, values in enumerate(metadata)]
        return FileListing(members, tuple(groups), faults=faults)

    def _read_group(self, key: tuple[bytes, str, int]) -> _GroupRows:
        """Keep the images of a group: a group is decoded from its beginning, whichever row is asked for."""
        name, _, index = key
        file = (self._files or {})[name]
        group, rows = self._lister.one(file).groups[index], _GroupRows(most_unpacked(file.entry.size_bytes))
        with file.open() as opened:
            try:
                table = open_table(opened)
                column = image_column(table.schema, self._column, file.display_uri)
                with IN_FLIGHT.reserved(table.n_bytes(group, [column])):
                    for batch in table.batches(group, [column]):
                        rows.add(batch.column(0))
            except Exception as error:
                if opened.failure or isinstance(error, SourceError):
                    raise
                rows.stop(error)
        return rows


def _plausible(groups: list[Group], file: SourceFile) -> list[Group]:
    """The groups, unless they claim more rows than the file has bytes: those would only take memory."""
    n_rows, n_bytes = sum(n_rows for _, n_rows in groups), file.entry.size_bytes
    if any(n_rows < 0 for _, n_rows in groups) or (n_bytes is not None and n_rows > n_bytes):
        raise pa.ArrowInvalid(f"it claims {n_rows:,} rows in {n_bytes:,} bytes")
    return groups


class _Row(NamedTuple):
    """Where an image is among the bytes of its group; a negative size where the row has no image."""

    start: int
    size_bytes: int
    path: str | None


class _GroupRows:
    """The images of a group. In a damaged group, the rows after the damage are missing."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = TemporaryBytes()
        self._rows: list[_Row] = []
        self._damage, self._reason = "", "corrupt"

    def stop(self, error: Exception) -> None:
        """Note why the rows that follow cannot be read."""
        self._damage = f"{type(error).__name__}: {error}"
        self._reason = "too large" if isinstance(error, MemoryError | TooLarge) else "corrupt"

    @property
    def n_bytes(self) -> int:
        return self._bytes.n_bytes

    def add(self, column: pa.Array) -> None:
        paths: pa.Array | None = None
        if pa.types.is_struct(column.type):
            names = [field.name for field in column.type]
            paths = column.field("path") if "path" in names else None
            column = pa.compute.struct_field(column, "bytes")
        for row, value in enumerate(column):
            if value.is_valid:
                # Of a dictionary, only the value that the row refers to.
                data = (value.value if pa.types.is_dictionary(column.type) else value).as_buffer()
                if self._bytes.n_bytes + data.size > self._most_bytes:
                    raise TooLarge("it unpacks to far more bytes than the file has, as no images do")
                self._rows.append(_Row(self._bytes.append(data), data.size, None))
            else:
                self._rows.append(_Row(0, -1, paths[row].as_py() if paths is not None else None))

    def read(self, index: int) -> bytes:
        if index >= len(self._rows):
            raise Unreadable(self._reason, f"the table's rows cannot be read: {self._damage}", damage=self._damage)
        row = self._rows[index]
        if row.size_bytes > MAX_IMAGE_BYTES:
            detail = f"{row.size_bytes:,} bytes, the limit is {MAX_IMAGE_BYTES:,}"
            raise Unreadable("too large", detail, size_bytes=row.size_bytes)
        if row.size_bytes < 0:
            path = f", only the path {row.path}" if row.path else ""
            raise Unreadable("empty", f"the row has no image bytes{path}", path=row.path)
        return self._bytes.read(row.start, row.size_bytes)
