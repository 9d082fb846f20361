"""Tar archives, plain or compressed, one or many (WebDataset shards), local or remote.

Members of a plain archive are read by their offset. A compressed archive cannot be read by offset: it is decompressed
once into an unnamed temporary file. No member is ever written to a path of its own.
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

from dna_pipelines.config.dataset import SUFFIXES
from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.file_patterns import find_files
from dna_pipelines.sources.files import MonitoredFile, SourceFile
from dna_pipelines.sources.listings_cache import FileLister, FileListing, ListingsCache, Member
from dna_pipelines.sources.names import without_leading_dot
from dna_pipelines.sources.remote import Options, read_object
from dna_pipelines.sources.temporary_files import BOMB_RATIO, RecentValues, TemporaryBytes, most_unpacked
from dna_pipelines.sources.webdataset import (
    MAX_DESCRIPTION_BYTES,
    MOST_CHARACTERS,
    described_key,
    key_of,
    with_descriptions,
)

_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_BLOCK_BYTES = 2**20
_MOST_HEADER_BYTES = 16 * 2**20


class TarSource:
    """The regular members of archives. Of several members of one name the last counts, as when tar extracts.

    A hard link to an earlier member is that member under another name. Symbolic links and devices are listed as
    members that cannot be read.
    """

    def __init__(
        self,
        uri: str,
        selection: Selection,
        options: Options | None = None,
        cache: ListingsCache | None = None,
        base: str = "",
    ) -> None:
        self._uri = uri
        self._selection = selection
        self._options = options
        self._base = base
        self._lister = FileLister(_list_file, "tar", cache)
        self._unpacked = RecentValues(self._unpack)
        self._lock = threading.Lock()
        self._members: dict[bytes, tuple[SourceFile, Member]] | None = None

    def list(self) -> Listing:
        """The members of every archive."""
        files, entries = find_files(self._uri, SUFFIXES["tar"], self._options, self._base)
        members: dict[bytes, tuple[SourceFile, Member]] = {}
        n_ignored, ignored = 0, None
        is_single = len(files) == 1 and files[0].is_whole
        for file, listing in zip(files, self._lister.all(files), strict=True):
            if listing.damage and not listing.members and is_single:
                raise SourceError(
                    f"{file.display_uri} cannot be opened as a tar archive: {listing.damage}",
                    code="source.damaged",
                    uri=file.display_uri,
                    format="tar",
                    damage=listing.damage,
                )
            prefix = b"" if is_single else file.name + b"/"
            chosen: list[Member] = []
            others: list[Member] = []
            for member in listing.members:
                (chosen if self._selection(prefix + member.name) else others).append(member)
            keys = {key_of(member.name) for member in chosen}
            # The description of a chosen image is part of its metadata, and not an ignored file.
            n_ignored += sum(other.describes is None or other.describes not in keys for other in others)
            n_ignored += listing.n_hidden
            ignored = prefix + others[0].name if others else ignored
            for member in chosen:
                entries.append(_entry(prefix + member.name, member, file))
                members[prefix + member.name] = (file, member)
            if listing.damage:
                entries.append(Entry(file.name, file.entry.size_bytes, "broken", None, listing.damage, None, prefix))
        self._members = members
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored)

    def read(self, path: bytes) -> bytes:
        """Read one member."""
        with self._lock:
            if self._members is None:
                self.list()
        try:
            file, member = (self._members or {})[path]
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} has no member {path!r}") from error
        size = member.size_bytes or 0
        if size == 0:
            return b""
        if self._lister.one(file).compressed:
            data = self._unpacked.get((file.uri, file.entry.signature)).read(member.start, size)
        else:
            data = read_object(file.fs, file.path, member.start, member.start + size)
        if len(data) < size:
            raise Unreadable(
                "truncated", f"the archive ends after {len(data):,} of its {size:,} bytes", n_bytes=len(data), size=size
            )
        return data

    def _unpack(self, key: tuple[str, str]) -> TemporaryBytes:
        """The bytes of an archive in one of its states."""
        files = (file for file, _ in (self._members or {}).values())
        file = next(file for file in files if (file.uri, file.entry.signature) == key)
        unpacked = TemporaryBytes()
        with _uncompressed(file) as (stream, _):
            try:
                while data := stream.read1(_BLOCK_BYTES):
                    unpacked.append(data)
            except Exception:
                if stream.failure:
                    raise
                # Members after the damage are truncated for their readers.
        return unpacked


def _entry(path: bytes, member: Member, file: SourceFile) -> Entry:
    if member.problem:
        return Entry(path, member.size_bytes, "special", None, member.problem, member.metadata)
    # A tar archive holds no checksums, so that the signature of the archive stands for each of its members.
    signature = f"{file.entry.signature}@{member.start:x}"
    return Entry(path, member.size_bytes, signature, file.entry.modified_ns, None, member.metadata)


def _list_file(file: SourceFile) -> FileListing:
    """Read the headers of an archive, up to where it is damaged."""
    members: dict[bytes, Member] = {}
    texts: dict[bytes, bytes | str] = {}
    n_hidden, damage, last_offset, n_read = 0, None, -1, 0
    with _uncompressed(file) as (stream, compressed):
        try:
            archive: Any = tarfile.TarFile(
                fileobj=cast("IO[bytes]", stream), encoding="utf-8", errors="surrogateescape"
            )
            while (info := archive.next()) is not None:
                if archive.offset <= last_offset or info.size < 0:
                    raise tarfile.ReadError("a header leads back to an earlier offset")
                last_offset = archive.offset
                archive.members.clear()
                if info.isdir():
                    continue
                member = _member(info, members)
                n_hidden += members.pop(member.name, None) is not None
                texts.pop(member.name, None)
                members[member.name] = member
                if member.describes is not None:
                    texts[member.name] = _text(stream, member, n_read)
                    n_read += len(texts[member.name])
            damage = _wrong_end(stream, archive.offset)
        except Exception as error:
            if stream.failure:
                raise
            damage = f"the archive is damaged: {type(error).__name__}: {error}"
    if damage and members:
        last = next(reversed(members)).decode("utf-8", "backslashreplace")
        damage += f"; what comes after {last} cannot be found"
    return FileListing(
        with_descriptions(members.values(), texts), damage=damage, n_hidden=n_hidden, compressed=compressed
    )


def _member(info: tarfile.TarInfo, earlier: Mapping[bytes, Member]) -> Member:
    name = _name(info.name)
    if info.islnk() and (target := earlier.get(_name(info.linkname))):
        return target._replace(name=name, describes=described_key(name))
    if info.isreg() and not info.issparse():
        return Member(name, info.offset_data, info.size, describes=described_key(name))
    kind = "a link" if info.issym() or info.islnk() else "a sparse file" if info.isreg() else "a special file"
    target_name = f" to {info.linkname!r}" if info.issym() or info.islnk() else ""
    return Member(name, info.offset_data, 0, f"{kind} in an archive{target_name}, not an image")


def _name(name: str) -> bytes:
    return without_leading_dot(name.encode("utf-8", "surrogateescape"))


def _text(stream: _BoundedStream, member: Member, n_before: int) -> bytes | str:
    """The bytes of a description, or why they are not read; `n_before` are those of the descriptions before it."""
    if member.problem or (member.size_bytes or 0) > MAX_DESCRIPTION_BYTES:
        return member.problem or f"{member.size_bytes:,} bytes, more than the {MAX_DESCRIPTION_BYTES:,} that are read"
    if n_before > MOST_CHARACTERS:
        return f"left out, because the descriptions before it have over {MOST_CHARACTERS:,} bytes"
    stream.seek(member.start)
    return stream.read(member.size_bytes or 0)


def _wrong_end(stream: _BoundedStream, offset: int) -> str | None:
    """Why the archive does not end as it should: tarfile takes any block that is not a header for the end."""
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if not block:
        return "the archive has no end mark (blocks of zeros), so it may have been cut"
    if block.strip(b"\0"):
        return f"the archive is damaged at byte {offset:,}: no header is there"
    while block := stream.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            return f"the archive ends at byte {offset:,}, and more follows (join archives by `tar -A`, not by `cat`)"
    return None


@contextmanager
def _uncompressed(file: SourceFile) -> Iterator[tuple[_BoundedStream, bool]]:
    """The uncompressed bytes of an archive, and whether it is compressed."""
    with file.open() as raw:
        magic = raw.read(6)
        raw.seek(0)
        opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
        if opener is None:
            yield _BoundedStream(raw, raw, None), False
        else:
            yield _BoundedStream(opener(raw), raw, most_unpacked(file.entry.size_bytes)), True


class _BoundedStream:
    """A stream that reads at most the size of a header at once, and at most the size of a plausible archive in all."""

    def __init__(self, stream: Any, raw: MonitoredFile, most_bytes: int | None) -> None:
        self._stream = stream
        self._raw = raw
        self._most_bytes = most_bytes

    @property
    def failure(self) -> Exception | None:
        """The exception where the archive could not be read; None where its bytes are at fault."""
        return self._raw.failure

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes."""
        if not 0 <= size <= _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._checked(self._stream.read(size))

    def read1(self, size: int) -> bytes:
        """Read the bytes available at once: of a damaged archive, everything before the damage."""
        return self._checked(self._stream.read1(size))

    def seek(self, offset: int) -> int:
        """Go to an offset."""
        if self._most_bytes is not None:
            # In steps, so that a bomb is noticed on the way.
            while (rest := offset - self._stream.tell()) > 0 and self.read1(min(_BLOCK_BYTES, rest)):
                pass
        return int(self._stream.seek(offset))

    def tell(self) -> int:
        """The current offset."""
        offset: int = self._stream.tell()
        return offset

    def _checked(self, data: bytes) -> bytes:
        if self._most_bytes is not None and self._stream.tell() > self._most_bytes:
            raise tarfile.ReadError(f"it unpacks to more than {BOMB_RATIO} times its size, as no images do")
        return data
