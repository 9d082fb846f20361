"""A .zip archive, local or remote. Members are read in place and never extracted to disk."""

from __future__ import annotations

import errno
import lzma
import threading
import zipfile
import zlib
from functools import partial
from typing import IO, cast

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.asking import asked_for_bytes, cannot
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.parts import Watched
from dna_pipelines.sources.remote import Options, file_system_of, info_of


class ZipSource:
    """The members of an archive. A member is known by its size and CRC, so rewriting the archive costs nothing."""

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._options = options
        self._selection = selection
        self._local = threading.local()

    def list(self) -> Listing:
        """Read the archive's directory."""
        fs, place = file_system_of(self._uri, self._options)
        try:
            fs.invalidate_cache()
            info_of(fs, place)
        except Exception as error:
            raise cannot(f"{self._uri} cannot be reached", error) from error
        try:
            infos = self._archive().infolist()
        except SourceError:
            raise
        except Exception as error:
            raise cannot(f"{self._uri} cannot be opened as a zip archive", error) from error
        entries, n_ignored, ignored, seen = [], 0, None, set[bytes]()
        for info in infos:
            path = _raw_name(info)
            if info.is_dir():
                continue
            if not self._selection(path) or path in seen:
                n_ignored, ignored = n_ignored + 1, path
                continue
            seen.add(path)
            entries.append(Entry(path, info.file_size, f"{info.file_size:x}-{info.CRC:08x}"))
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored)

    def read(self, path: bytes) -> bytes:
        """Read one member."""
        archive = self._archive()
        try:
            return archive.read(self._local.members[path])
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} has no member {path!r}") from error
        except OSError as error:
            # bz2 calls damaged data so, and a member that lies outside the file is an invalid argument.
            if str(error) != "Invalid data stream" and error.errno != errno.EINVAL:
                raise
            raise Unreadable("corrupt", f"the archive's member cannot be read: {error}") from error
        except (
            zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, ValueError,
        ) as error:  # fmt: skip
            # RuntimeError: encrypted; NotImplementedError: a compression that zipfile lacks; ValueError: a name
            # that is not UTF-8 although it says so, or a negative place.
            raise Unreadable("corrupt", f"the archive's member cannot be read: {error}") from error

    def _archive(self) -> zipfile.ZipFile:
        """One handle a thread: a shared one would serialise reading."""
        archive: zipfile.ZipFile | None = getattr(self._local, "archive", None)
        if archive is None:
            fs, path = file_system_of(self._uri, self._options)
            file = Watched(fs, asked_for_bytes(fs, partial(fs.open, path, "rb")), None)
            try:
                archive = zipfile.ZipFile(cast("IO[bytes]", file))
            except zipfile.BadZipFile:
                # It says so of a file that cannot be read, too.
                if file.failure:
                    raise file.failure from None
                raise
            self._local.archive = archive
            self._local.members = {}
            for info in archive.infolist():
                self._local.members.setdefault(_raw_name(info), info)
        return archive


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The name as the archive stores it (zipfile decodes names without the UTF-8 flag as cp437)."""
    utf8 = info.flag_bits & 0x800
    return info.orig_filename.encode("utf-8" if utf8 else "cp437", "surrogateescape")
