"""Tar archives, plain or compressed, one or many (WebDataset shards), local or remote.

Members of a plain archive are read in place by their offset. A compressed archive has no places to jump
to: it is decompressed once into a nameless temporary file. No member is ever written anywhere by its name.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, cast

from dna_pipelines.config.models import SUFFIXES
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.contents import Contents, ContentsCache, Finder, Member
from dna_pipelines.sources.parts import Part, Watched, find_parts
from dna_pipelines.sources.remote import Options, read_object
from dna_pipelines.sources.samples import MOST_BYTES, described, describes, key_of
from dna_pipelines.sources.spool import Recent, Spool

_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_BLOCK_BYTES = 2**20
_MOST_HEADER_BYTES = 16 * 2**20
_BOMB_RATIO, _BOMB_FLOOR = 100, 2**30


class TarSource:
    """The regular members of archives. Of several members of one name the last counts, as when tar extracts.

    A hard link to an earlier member is that member under another name. Symbolic links and devices are
    listed as what cannot be read.
    """

    def __init__(
        self,
        uri: str,
        selection: Selection,
        options: Options | None = None,
        cache: ContentsCache | None = None,
        base: str = "",
    ) -> None:
        self._uri = uri
        self._selection = selection
        self._options = options
        self._base = base
        self._finder = Finder(_look, "tar", cache)
        self._spools = Recent(self._unpacked)
        self._lock = threading.Lock()
        self._places: dict[bytes, tuple[Part, Member]] | None = None

    def list(self) -> Listing:
        """The members of every archive."""
        parts, entries = find_parts(self._uri, SUFFIXES["tar"], self._options, self._base)
        places: dict[bytes, tuple[Part, Member]] = {}
        n_ignored, ignored = 0, None
        alone = len(parts) == 1 and parts[0].is_whole
        for part, contents in zip(parts, self._finder.all(parts), strict=True):
            if contents.damage and not contents.members and alone:
                raise SourceError(f"{part.shown} cannot be opened as a tar archive: {contents.damage}")
            prefix = b"" if alone else part.name + b"/"
            chosen: list[Member] = []
            others: list[Member] = []
            for member in contents.members:
                (chosen if self._selection(prefix + member.name) else others).append(member)
            keys = {key_of(member.name) for member in chosen}
            # What describes an image that is taken has been taken in with it.
            n_ignored += sum(other.beside is None or other.beside not in keys for other in others) + contents.n_hidden
            ignored = prefix + others[0].name if others else ignored
            for member in chosen:
                entries.append(_entry(prefix + member.name, member, part))
                places[prefix + member.name] = (part, member)
            if contents.damage:
                entries.append(Entry(part.name, part.entry.size_bytes, "broken", None, contents.damage, None, True))
        self._places = places
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored)

    def read(self, path: bytes) -> bytes:
        """Read one member."""
        with self._lock:
            if self._places is None:
                self.list()
        try:
            part, member = (self._places or {})[path]
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} has no member {path!r}") from error
        size = member.size_bytes or 0
        if size == 0:
            return b""
        if self._finder.one(part).packed:
            data = self._spools.use(part.place).read(member.start, size)
        else:
            data = read_object(part.fs, part.path, member.start, member.start + size)
        if len(data) < size:
            raise Unreadable("truncated", f"the archive ends after {len(data):,} of its {size:,} bytes")
        return data

    def _unpacked(self, place: str) -> Spool:
        part = next(part for part, _ in (self._places or {}).values() if part.place == place)
        spool = Spool()
        with _opened(part) as (file, _):
            try:
                while data := file.read1(_BLOCK_BYTES):
                    spool.append(data)
            except Exception:
                if file.failure:
                    raise
                # What comes after is missing to whoever reads it.
        return spool


def _entry(path: bytes, member: Member, part: Part) -> Entry:
    if member.problem:
        return Entry(path, member.size_bytes, "special", None, member.problem, member.metadata)
    # The archive holds no checksums, so that its own signature has to vouch for all of its members.
    signature = f"{part.entry.signature}@{member.start:x}"
    return Entry(path, member.size_bytes, signature, part.entry.modified_ns, None, member.metadata)


def _look(part: Part) -> Contents:
    """Read the headers of an archive, up to where it is damaged."""
    members: dict[bytes, Member] = {}
    texts: dict[bytes, bytes | str] = {}
    n_hidden, damage, begun = 0, None, -1
    with _opened(part) as (file, packed):
        try:
            archive: Any = tarfile.TarFile(fileobj=cast("IO[bytes]", file), encoding="utf-8", errors="surrogateescape")
            while (info := archive.next()) is not None:
                if archive.offset <= begun or info.size < 0:
                    raise tarfile.ReadError("a header leads back to where it was")
                begun = archive.offset
                archive.members.clear()
                if info.isdir():
                    continue
                member = _member(info, members)
                n_hidden += members.pop(member.name, None) is not None
                texts.pop(member.name, None)
                members[member.name] = member
                if member.beside is not None:
                    texts[member.name] = _text(file, member)
            damage = _wrong_end(file, archive.offset)
        except Exception as error:
            if file.failure:
                raise
            damage = f"the archive is damaged: {type(error).__name__}: {error}"
    if damage and members:
        last = next(reversed(members)).decode("utf-8", "backslashreplace")
        damage += f"; what comes after {last} cannot be found"
    return Contents(described(members.values(), texts), damage=damage, n_hidden=n_hidden, packed=packed)


def _member(info: tarfile.TarInfo, before: Mapping[bytes, Member]) -> Member:
    name = _name(info.name)
    if info.islnk() and (target := before.get(_name(info.linkname))):
        return target._replace(name=name, beside=describes(name))
    if info.isreg() and not info.issparse():
        return Member(name, info.offset_data, info.size, beside=describes(name))
    kind = "a link" if info.issym() or info.islnk() else "a sparse file" if info.isreg() else "a special file"
    where = f" to {info.linkname!r}" if info.issym() or info.islnk() else ""
    return Member(name, info.offset_data, 0, f"{kind} in an archive{where}, not an image")


def _name(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape").removeprefix(b"./")


def _text(file: _Guarded, member: Member) -> bytes | str:
    if member.problem or (member.size_bytes or 0) > MOST_BYTES:
        return member.problem or f"{member.size_bytes:,} bytes, more than the {MOST_BYTES:,} that are read"
    file.seek(member.start)
    return file.read(member.size_bytes or 0)


def _wrong_end(file: _Guarded, offset: int) -> str | None:
    """Tarfile takes anything it does not understand for the end, and nothing at all; an end is zeros up to the end."""
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if not block:
        return "the archive has no end mark (blocks of zeros), so it may have been cut"
    if block.strip(b"\0"):
        return f"the archive is damaged at byte {offset:,}: no header is there"
    while block := file.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            return f"the archive ends at byte {offset:,}, and more follows (join archives by `tar -A`, not by `cat`)"
    return None


@contextmanager
def _opened(part: Part) -> Iterator[tuple[_Guarded, bool]]:
    """An archive as a file of what it holds uncompressed, and whether it is compressed."""
    with part.opened() as raw:
        magic = raw.read(6)
        raw.seek(0)
        opener = next((one for start, one in _OPENERS.items() if magic.startswith(start)), None)
        if opener is None:
            yield _Guarded(raw, raw, None), False
        else:
            most = (part.entry.size_bytes or 0) * _BOMB_RATIO + _BOMB_FLOOR
            yield _Guarded(opener(raw), raw, most), True


class _Guarded:
    """A file that gives no more at once than a header may need, and no more in all than an honest archive holds."""

    def __init__(self, file: Any, raw: Watched, most_bytes: int | None) -> None:
        self._file = file
        self._raw = raw
        self._most_bytes = most_bytes

    @property
    def failure(self) -> Exception | None:
        """Whether the archive could not be read, rather than not be made sense of."""
        return self._raw.failure

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._checked(self._file.read(size))

    def read1(self, size: int) -> bytes:
        """Read what there is at once: of a damaged archive, everything before the damage."""
        return self._checked(self._file.read1(size))

    def seek(self, place: int) -> int:
        """Go to a place."""
        if self._most_bytes is not None:
            # Step by step, so that a bomb is noticed on the way.
            while (left := place - self._file.tell()) > 0 and self.read1(min(_BLOCK_BYTES, left)):
                pass
        return int(self._file.seek(place))

    def tell(self) -> int:
        """The place reached."""
        place: int = self._file.tell()
        return place

    def _checked(self, data: bytes) -> bytes:
        if self._most_bytes is not None and self._file.tell() > self._most_bytes:
            raise tarfile.ReadError(f"it holds more than {_BOMB_RATIO} times what it takes, as no images do")
        return data
