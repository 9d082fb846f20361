"""A .zip archive, local or remote. Members are read where they are and never extracted to disk."""

from __future__ import annotations

import errno
import lzma
import threading
import zipfile
import zlib
from functools import partial
from typing import IO, cast

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.files import MonitoredFile
from dna_pipelines.sources.remote import Options, file_system_of, info_of
from dna_pipelines.sources.retries import read_with_retries


class ZipSource:
    """The members of an archive, each known by its size and CRC, so that rewriting the archive costs nothing."""

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._options = options
        self._selection = selection
        self._local = threading.local()

    def list(self) -> Listing:
        """Read the archive's directory."""
        fs, path = file_system_of(self._uri, self._options)
        try:
            fs.invalidate_cache()
            info_of(fs, path)
        except Exception as error:
            raise source_error(f"{self._uri} cannot be reached", error, uri=self._uri) from error
        try:
            infos = self._archive().infolist()
        except SourceError:
            raise
        except Exception as error:
            # A damaged directory may ask for a negative offset.
            is_damaged = not isinstance(error, OSError) or error.errno == errno.EINVAL
            raise source_error(
                f"{self._uri} cannot be opened as a zip archive",
                error,
                uri=self._uri,
                code="source.damaged" if is_damaged else "source.unreachable",
                format="zip",
            ) from error
        entries: list[Entry] = []
        n_ignored, ignored, seen = 0, None, set[bytes]()
        for info in infos:
            name = _raw_name(info)
            if info.is_dir():
                continue
            if not self._selection(name) or name in seen:
                n_ignored, ignored = n_ignored + 1, name
                continue
            seen.add(name)
            entries.append(Entry(name, info.file_size, f"{info.file_size:x}-{info.CRC:08x}"))
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored)

    def read(self, path: bytes) -> bytes:
        """Read one member."""
        archive = self._archive()
        try:
            return archive.read(self._local.members[path])
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} has no member {path!r}") from error
        except OSError as error:
            # bz2 raises OSError for damaged data, and a member outside the file is an invalid argument.
            if str(error) != "Invalid data stream" and error.errno != errno.EINVAL:
                raise
            raise _unreadable(error) from error
        except (
            zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, ValueError,
        ) as error:  # fmt: skip
            # RuntimeError: encrypted; NotImplementedError: a compression that zipfile does not know; ValueError: a
            # name that claims to be UTF-8 and is not, or a negative offset.
            raise _unreadable(error) from error

    def _archive(self) -> zipfile.ZipFile:
        """One handle for each thread: a shared one would serialise reading."""
        archive: zipfile.ZipFile | None = getattr(self._local, "archive", None)
        if archive is None:
            fs, path = file_system_of(self._uri, self._options)
            file = MonitoredFile(fs, read_with_retries(fs, partial(fs.open, path, "rb")), None)
            try:
                archive = zipfile.ZipFile(cast("IO[bytes]", file))
            except zipfile.BadZipFile:
                # zipfile raises it for a file that cannot be read, too.
                if file.failure:
                    raise file.failure from None
                raise
            self._local.archive = archive
            self._local.members = {}
            for info in archive.infolist():
                self._local.members.setdefault(_raw_name(info), info)
        return archive


def _unreadable(error: Exception) -> Unreadable:
    return Unreadable("corrupt", f"the archive's member cannot be read: {error}", error=type(error).__name__)


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The name as the archive stores it (zipfile decodes names without the UTF-8 flag as cp437)."""
    utf8 = info.flag_bits & 0x800
    return info.orig_filename.encode("utf-8" if utf8 else "cp437", "surrogateescape")
