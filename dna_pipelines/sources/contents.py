"""What an archive or a table holds, found once for each state of the file and kept for later scans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.asking import cannot
from dna_pipelines.sources.parts import Part

_FORMAT = 2
"""Another one when more is seen in the same files: they are looked into once again."""
_SETTLING_NS = 2_000_000_000
"""Contents of a file modified this shortly ago are not kept: it may change without its time changing."""


class Member(NamedTuple):
    """One image or other file inside a file.

    Attributes:
        name: relative to the file it lies in.
        start: where its bytes begin, or its row.
        size_bytes: None where only reading tells.
        problem: why it cannot be read, if the directory of the archive says so.
        metadata: what lies beside it.
        beside: the name of the sample it describes; None for everything that describes none.
    """

    name: bytes
    start: int
    size_bytes: int | None
    problem: str | None = None
    metadata: dict[str, str] | None = None
    beside: bytes | None = None


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
class Contents:
    """The members of a file, in the order in which they lie there.

    `groups` are the (place, number of rows) of what a table is read by; `damage` says where a damaged file
    ends early; `n_hidden` counts members that later ones of the same name hide; `packed` says that the file is
    compressed as a whole.
    """

    members: list[Member]
    groups: tuple[tuple[int, int], ...] = ()
    damage: str | None = None
    n_hidden: int = 0
    packed: bool = False

    def to_bytes(self, stamp: str) -> bytes:
        """The contents as a file of their own, marked with the state they were found in."""
        facts = {"stamp": stamp, "groups": self.groups, "damage": self.damage, "n_hidden": self.n_hidden}
        facts["packed"] = self.packed
        rows = zip(*self.members, strict=True) if self.members else ((),) * len(_SCHEMA)
        columns = dict(zip(_SCHEMA.names, map(list, rows), strict=True))
        columns["metadata"] = [None if one is None else list(one.items()) for one in columns["metadata"]]
        schema = _SCHEMA.with_metadata({"facts": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(pa.table(columns, schema=schema))
        data: bytes = sink.getvalue().to_pybytes()
        return data

    @staticmethod
    def from_bytes(data: bytes, stamp: str) -> Contents | None:
        """Contents that were kept; None if they are of another state, or damaged (they can be found again)."""
        try:
            table = pa.ipc.open_file(data).read_all()
            facts = json.loads(table.schema.metadata[b"facts"])
            if facts["stamp"] != stamp:
                return None
            columns = {name: table[name].to_pylist() for name in _SCHEMA.names}
        except (pa.ArrowException, KeyError, TypeError, ValueError, OSError):
            return None
        columns["metadata"] = [None if one is None else dict(one) for one in columns["metadata"]]
        members = [Member(*row) for row in zip(*columns.values(), strict=True)]
        groups = tuple((place, n_rows) for place, n_rows in facts["groups"])
        return Contents(members, groups, facts["damage"], facts["n_hidden"], facts["packed"])


class ContentsCache(Protocol):
    """Keeps contents between scans. What it loses is found again."""

    def get(self, place: str) -> bytes | None:
        """What was kept last for a place."""
        ...

    def put(self, place: str, data: bytes) -> None:
        """Keep something for a place instead of what was kept before."""
        ...


class Forgetful:
    """Keeps nothing."""

    def get(self, _place: str) -> bytes | None:
        """Nothing."""
        return None

    def put(self, _place: str, _data: bytes) -> None:
        """Nothing."""


class Finder:
    """Finds contents, looking into each file once for each of its states.

    Args:
        look: finds the contents of a file.
        how: whatever besides the file decides what is found.
        cache: keeps it.
    """

    def __init__(self, look: Callable[[Part], Contents], how: str, cache: ContentsCache | None) -> None:
        self._look = look
        self._how = f"{_FORMAT} {how}"
        self._cache = Forgetful() if cache is None else cache
        self._known: dict[str, tuple[str, Contents]] = {}

    def all(self, parts: list[Part]) -> list[Contents]:
        """The contents of files, several at a time."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.one, parts))

    def one(self, part: Part) -> Contents:
        """The contents of a file.

        Raises:
            SourceError: when it cannot be reached. A file that is damaged is not an error of the place.
        """
        signature = part.entry.signature
        known = self._known.get(part.place)
        if known and known[0] == signature:
            return known[1]
        stamp = f"{self._how} {signature}"
        # One file may be looked at in several ways, for several datasets.
        key = f"{self._how} {part.place}"
        kept = self._cache.get(key)
        contents = Contents.from_bytes(kept, stamp) if kept else None
        if contents is None:
            contents = self._found(part)
            modified_ns = part.entry.modified_ns
            if modified_ns is None or modified_ns < time.time_ns() - _SETTLING_NS:
                self._cache.put(key, contents.to_bytes(stamp))
        self._known[part.place] = (signature, contents)
        return contents

    def _found(self, part: Part) -> Contents:
        try:
            return self._look(part)
        except SourceError:
            raise
        except Exception as error:
            raise cannot(f"{part.shown} cannot be read", error) from error
