"""What archives and tables contain, listed once for each state of a file and kept for later scans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.files import SourceFile

_FORMAT = 2
"""Raised when the same files are listed differently, so that they are listed again."""
_SETTLING_NS = 2_000_000_000
"""Listings of a file modified this recently are not kept: it may change without its time changing."""


class Member(NamedTuple):
    """One image or other file inside a file.

    Attributes:
        name: relative to the file that contains it.
        start: the offset of its bytes, or its row.
        size_bytes: None where only reading tells.
        problem: why it cannot be read, if the directory of the archive shows that.
        metadata: the metadata stored beside it.
        describes: the key of the sample that it describes; None for a file that is not a description.
    """

    name: bytes
    start: int
    size_bytes: int | None
    problem: str | None = None
    metadata: dict[str, str] | None = None
    describes: bytes | None = None


_SCHEMA = pa.schema(
    [
        ("name", pa.binary()),
        ("start", pa.int64()),
        ("size_bytes", pa.int64()),
        ("problem", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("beside", pa.binary()),
    ]
)


@dataclass(frozen=True)
class FileListing:
    """The members of a file, in the order of the file.

    Attributes:
        members: see above.
        groups: the (position, number of rows) of each group by which a table is read.
        damage: where a damaged file ends early.
        n_hidden: members that later ones of the same name replace.
        compressed: whether the file is compressed as a whole.
        faults: columns of a table that are left out or cut, each with what happened to it.
    """

    members: list[Member]
    groups: tuple[tuple[int, int], ...] = ()
    damage: str | None = None
    n_hidden: int = 0
    compressed: bool = False
    faults: dict[str, str] = field(default_factory=dict)

    def to_bytes(self, token: str) -> bytes:
        """The listing as an Arrow file, marked with the change token of the file it lists."""
        facts: dict[str, Any] = {
            "stamp": token,
            "groups": self.groups,
            "damage": self.damage,
            "n_hidden": self.n_hidden,
        }
        facts |= {"packed": self.compressed, "faults": self.faults}
        rows = zip(*self.members, strict=True) if self.members else ((),) * len(_SCHEMA)
        columns = dict(zip(_SCHEMA.names, map(list, rows), strict=True))
        columns["metadata"] = [None if value is None else list(value.items()) for value in columns["metadata"]]
        schema = _SCHEMA.with_metadata({"facts": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(pa.table(columns, schema=schema))
        data: bytes = sink.getvalue().to_pybytes()
        return data

    @staticmethod
    def from_bytes(data: bytes, token: str) -> FileListing | None:
        """A kept listing; None if it is of another change token, or damaged (the file can be listed again)."""
        try:
            table = pa.ipc.open_file(data).read_all()
            facts = json.loads(table.schema.metadata[b"facts"])
            if facts["stamp"] != token:
                return None
            columns = {name: table[name].to_pylist() for name in _SCHEMA.names}
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError):
            return None
        columns["metadata"] = [None if value is None else dict(value) for value in columns["metadata"]]
        members = [Member(*row) for row in zip(*columns.values(), strict=True)]
        groups = tuple((position, n_rows) for position, n_rows in facts["groups"])
        return FileListing(
            members, groups, facts["damage"], facts["n_hidden"], facts["packed"], facts.get("faults", {})
        )


class ListingsCache(Protocol):
    """Keeps listings between scans. A listing that it loses is made again."""

    def get(self, key: str) -> bytes | None:
        """The bytes kept last for a key."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes for a key, instead of those kept before."""
        ...


class NoCache:
    """Keeps nothing."""

    def get(self, _key: str) -> bytes | None:
        """Nothing."""
        return None

    def put(self, _key: str, _data: bytes) -> None:
        """Nothing."""


class FileLister:
    """Lists files, each only once for each of its states.

    Args:
        list_file: lists the members of a file.
        variant: whatever besides the file determines its listing.
        cache: keeps the listings.
    """

    def __init__(
        self, list_file: Callable[[SourceFile], FileListing], variant: str, cache: ListingsCache | None
    ) -> None:
        self._list_file = list_file
        self._variant = f"{_FORMAT} {variant}"
        self._cache = NoCache() if cache is None else cache
        self._known: dict[str, tuple[str, FileListing]] = {}

    def all(self, files: list[SourceFile]) -> list[FileListing]:
        """The listings of files, several at a time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.one, files))

    def one(self, file: SourceFile) -> FileListing:
        """The listing of a file.

        Raises:
            SourceError: when the file cannot be reached. A damaged file is not an error of the location.
        """
        signature = file.entry.signature
        known = self._known.get(file.uri)
        if known and known[0] == signature:
            return known[1]
        token = f"{self._variant} {signature}"
        # Several datasets may list one file in several ways. One that is signed again is the same file.
        key = f"{self._variant} {without_credentials(file.uri)}"
        kept = self._cache.get(key)
        listing = FileListing.from_bytes(kept, token) if kept else None
        if listing is None:
            try:
                listing = self._new_listing(file)
            except MemoryError:
                # Another time there may be enough.
                return FileListing([], damage="too large: this machine has not enough memory to list it")
            modified_ns = file.entry.modified_ns
            if modified_ns is None or modified_ns < time.time_ns() - _SETTLING_NS:
                self._cache.put(key, listing.to_bytes(token))
        self._known[file.uri] = (signature, listing)
        return listing

    def _new_listing(self, file: SourceFile) -> FileListing:
        try:
            return self._list_file(file)
        except (SourceError, MemoryError):
            raise
        except Exception as error:
            raise source_error(f"{file.display_uri} cannot be read", error, uri=file.display_uri) from error
