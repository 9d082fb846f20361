"""Tables whose rows are images (Parquet, Arrow), one file or many: the layout of Hugging Face's datasets.

A row is known by its file and its number there. The other columns with one value a row become metadata.
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
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.columns import image_column, metadata_of
from dna_pipelines.sources.contents import Contents, ContentsCache, Finder, Member
from dna_pipelines.sources.parts import Part, find_parts
from dna_pipelines.sources.remote import Options
from dna_pipelines.sources.spool import Recent, Spool
from dna_pipelines.sources.tables import Group, open_table


class RowSource:
    """The rows of tables. Globs and excludes choose among the files."""

    def __init__(
        self,
        uri: str,
        selection: Selection,
        suffixes: Sequence[str],
        options: Options | None = None,
        cache: ContentsCache | None = None,
        image_column: str | None = None,
        base: str = "",
    ) -> None:
        self._uri = uri
        self._selection = selection
        self._suffixes = suffixes
        self._options = options
        self._column = image_column
        self._base = base
        self._finder = Finder(self._look, f"rows {image_column}", cache)
        self._groups = Recent(self._group)
        self._lock = threading.Lock()
        self._parts: dict[bytes, Part] | None = None

    def list(self) -> Listing:
        """One entry a row. What a row holds is not looked at before it is read."""
        found, entries = find_parts(self._uri, self._suffixes, self._options, self._base)
        parts = [part for part in found if self._selection.admits(part.name)]
        for part, contents in zip(parts, self._finder.all(parts), strict=True):
            if contents.damage and part.is_whole:
                raise SourceError(f"{part.shown} cannot be opened as a table: {contents.damage}")
            if contents.damage:
                entries.append(Entry(part.name, part.entry.size_bytes, "broken", None, contents.damage, None, True))
            signature, modified_ns = part.entry.signature, part.entry.modified_ns
            for member in contents.members:
                path, own = b"%b/%b" % (part.name, member.name), f"{signature}#{member.start}"
                entries.append(Entry(path, None, own, modified_ns, None, member.metadata))
        self._parts = {part.name: part for part in parts}
        ignored = next((part.name for part in found if part.name not in self._parts), None)
        return Listing(sorted(entries, key=lambda entry: entry.path), len(found) - len(parts), ignored)

    def read(self, path: bytes) -> bytes:
        """The bytes in one row."""
        with self._lock:
            if self._parts is None:
                self.list()
        name, _, number = path.rpartition(b"/")
        part = (self._parts or {}).get(name)
        contents = self._finder.one(part) if part else Contents([])
        if part is None or not number.isdigit() or int(number) >= len(contents.members):
            raise FileNotFoundError(f"{self._uri} has no row {path!r}")
        ends = list(accumulate(n_rows for _, n_rows in contents.groups))
        group = bisect_right(ends, int(number))
        rows = self._groups.use((name, group))
        return rows.read(int(number) - (ends[group - 1] if group else 0))

    def _look(self, part: Part) -> Contents:
        with part.opened() as file:
            try:
                table = open_table(file)
                column = image_column(table.schema, self._column, part.shown)
                groups = _believable(table.groups(), part)
                described = metadata_of(table, groups, column)
            except Exception as error:
                if file.failure or isinstance(error, SourceError):
                    raise
                return Contents([], damage=f"the table is damaged: {type(error).__name__}: {error}")
        members = [Member(b"%09d" % row, row, None, None, metadata) for row, metadata in enumerate(described)]
        return Contents(members, tuple(groups))

    def _group(self, key: tuple[bytes, int]) -> _Rows:
        """Put the images of a group aside: a group is read from its beginning, whichever row is wanted."""
        name, number = key
        part = (self._parts or {})[name]
        group, rows = self._finder.one(part).groups[number], _Rows(Spool(), [])
        with part.opened() as file:
            try:
                table = open_table(file)
                column = image_column(table.schema, self._column, part.shown)
                for batch in table.batches(group, [column]):
                    rows.add(batch.column(0))
            except Exception as error:
                if file.failure or isinstance(error, SourceError):
                    raise
                rows.damage = f"{type(error).__name__}: {error}"
        return rows


def _believable(groups: list[Group], part: Part) -> list[Group]:
    """The groups, unless they claim more rows than there are bytes: no memory is set aside for those."""
    n_rows, n_bytes = sum(n_rows for _, n_rows in groups), part.entry.size_bytes
    if any(n_rows < 0 for _, n_rows in groups) or (n_bytes is not None and n_rows > n_bytes):
        raise pa.ArrowInvalid(f"it claims {n_rows:,} rows in {n_bytes:,} bytes")
    return groups


class _Place(NamedTuple):
    start: int
    size_bytes: int
    path: str | None


class _Rows:
    """The images of a group. Where the group is damaged, the rows after it are missing."""

    def __init__(self, spool: Spool, places: list[_Place]) -> None:
        self._spool = spool
        self._places = places
        self.damage: str | None = None

    @property
    def n_bytes(self) -> int:
        return self._spool.n_bytes

    def add(self, column: pa.Array) -> None:
        paths: pa.Array | None = None
        if pa.types.is_struct(column.type):
            names = [field.name for field in column.type]
            paths = column.field("path") if "path" in names else None
            column = pa.compute.struct_field(column, "bytes")
        for row, value in enumerate(column):
            data = value.as_buffer() if value.is_valid else None
            path = paths[row].as_py() if paths is not None and data is None else None
            start = self._spool.append(data) if data is not None else 0
            self._places.append(_Place(start, data.size, None) if data is not None else _Place(0, -1, path))

    def read(self, row: int) -> bytes:
        if row >= len(self._places):
            raise Unreadable("corrupt", f"the table's rows cannot be read: {self.damage}")
        place = self._places[row]
        if place.size_bytes < 0:
            path = f", only the path {place.path}" if place.path else ""
            raise Unreadable("empty", f"the row has no image bytes{path}")
        return self._spool.read(place.start, place.size_bytes)
