"""A .zip archive, local or remote. Members are read where they are and never extracted to disk."""

from __future__ import annotations

import errno
import io
import lzma
import shutil
import threading
import zipfile
import zlib
from functools import partial
from typing import IO, cast

from dna_pipelines.errors import SourceError, Unreadable
from dna_pipelines.sources.base import Entry, Listing, Selection, TableFile
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.files import MonitoredFile
from dna_pipelines.sources.image_folder import is_table
from dna_pipelines.sources.names import names_in_zip
from dna_pipelines.sources.remote import Options, file_system_of, info_of
from dna_pipelines.sources.retries import read_with_retries

_PIECE_BYTES = 2**20


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
            # The archive may be another one than that which is open.
            self._local = threading.local()
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
        members: dict[bytes, zipfile.ZipInfo] = self._local.members
        entries: list[Entry] = []
        tables: list[TableFile] = []
        n_ignored, ignored = sum(not info.is_dir() for info in infos) - len(members), None
        for name, info in members.items():
            entry = Entry(name, info.file_size, f"{info.file_size:x}-{info.CRC:08x}")
            if is_table(name, self._selection):
                tables.append(TableFile(*entry[:3]))
            elif self._selection(name):
                entries.append(entry)
            else:
                n_ignored, ignored = n_ignored + 1, name
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored, tables=tuple(tables))

    def read(self, path: bytes) -> bytes:
        """Read one member."""
        archive = self._archive()
        try:
            # Piece by piece, because zipfile joins what it reads at the cost of twice the memory.
            data = io.BytesIO()
            with archive.open(self._local.members[path]) as member:
                shutil.copyfileobj(member, data, _PIECE_BYTES)
            return data.getvalue()
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} has no member {path!r}") from error
        except OSError as error:
            # bz2 raises OSError for damaged data, and a member outside the file is an invalid argument.
            if str(error) != "Invalid data stream" and error.errno != errno.EINVAL:
                raise
            raise _unreadable(error) from error
        except RuntimeError as error:
            raise _unsupported(self._local.members[path]) from error
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
            # ValueError: a name that claims to be UTF-8 and is not, or a negative offset.
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
            stored: dict[bytes, zipfile.ZipInfo] = {}
            for info in archive.infolist():
                if not info.is_dir():
                    stored.setdefault(_raw_name(info), info)
            self._local.members = {name: stored[raw] for name, raw in names_in_zip(stored).items()}
        return archive


def _unreadable(error: Exception) -> Unreadable:
    return Unreadable("corrupt", f"the archive's member cannot be read: {error}", error=type(error).__name__)


def _unsupported(info: zipfile.ZipInfo) -> Unreadable:
    """The problem of a sound member that zipfile does not read: no other copy of the archive would help."""
    why = (
        "encrypted"
        if info.flag_bits & 1
        else f"compressed in a way (method {info.compress_type}) that Python does not read"
    )
    return Unreadable("unsupported", f"the archive's member is {why}; extract the archive and name its folder")


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    """The name as the archive stores it (zipfile decodes names without the UTF-8 flag as cp437)."""
    utf8 = info.flag_bits & 0x800
    return info.orig_filename.encode("utf-8" if utf8 else "cp437", "surrogateescape")
