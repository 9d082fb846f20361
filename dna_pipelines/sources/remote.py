"""A folder tree on any file system of fsspec (s3://, gs://, http://, memory://)."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.request import url2pathname

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection, TableFile
from dna_pipelines.sources.failures import no_range_requests, source_error
from dna_pipelines.sources.image_folder import is_table
from dna_pipelines.sources.names import name_of_address
from dna_pipelines.sources.retries import read_with_retries, with_retries

Options = Mapping[str, Any]
"""Settings of a file system, such as an endpoint."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
_WEB = ("http://", "https://")
_S3 = ("s3://", "s3a://")
_S3_VERSION = "?versionId="
_GOOGLE = ("gs://", "gcs://")
_GOOGLE_PATIENCE_S = 5.0
"""Seconds. Google's client asks for the kind of a bucket before each listing, in another protocol; without a connection
(or behind a firewall) it would wait a minute each time for an answer that is not needed."""
_CHECKSUMS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "Content-MD5")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created")


class RemoteSource:
    """Objects below a URI."""

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._selection = selection
        self._fs, root = file_system_of(uri, options)
        self._root = root.rstrip("/")
        self._is_web = is_web(uri)
        self._addresses: dict[bytes, str] | None = None
        self._lock = threading.Lock()

    def list(self) -> Listing:
        """List every object below the URI in one pass."""
        infos = find(self._fs, self._root, self._uri)
        if self._root in infos:
            raise SourceError(
                f"{self._uri} is a single object; use the folder that contains it, or an index .txt",
                code="source.not-a-folder",
                uri=self._uri,
            )
        addresses: dict[bytes, str] = {}
        for full in sorted(infos) if self._is_web else infos:
            below = full.removeprefix(self._root).removeprefix("/")
            addresses.setdefault(name_of_address(below) if self._is_web else os.fsencode(below), full)
        entries: list[Entry] = []
        tables: list[TableFile] = []
        n_ignored, ignored = len(infos) - len(addresses), None
        for path, full in addresses.items():
            if is_table(path, self._selection):
                tables.append(self._table(path, full, infos[full]))
            elif self._selection(path):
                entries.append(entry_of(path, infos[full]))
            else:
                n_ignored, ignored = n_ignored + 1, path
        self._addresses = addresses if self._is_web else None
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored, tables=tuple(sorted(tables)))

    def read(self, path: bytes) -> bytes:
        """Read one object, relative to the URI; on the web by the address that the server listed."""
        return read_object(self._fs, self._address(path) if self._is_web else f"{self._root}/{os.fsdecode(path)}")

    def _address(self, path: bytes) -> str:
        with self._lock:
            if self._addresses is None:
                self.list()
        try:
            return (self._addresses or {})[path]
        except KeyError as error:
            raise FileNotFoundError(f"{self._uri} lists no {path!r}") from error

    def _table(self, path: bytes, full: str, info: Mapping[str, Any]) -> TableFile:
        entry = entry_of(path, info)
        if shows_change(info):
            return TableFile(*entry[:3])
        digest = hashlib.sha256(read_object(self._fs, full)).hexdigest()[:24]
        return TableFile(path, entry.size_bytes, digest)


def is_web(uri: str) -> bool:
    """Whether a URI is the address of a web server, whose names are percent-encoded."""
    return uri.startswith(_WEB)


def file_system_of(uri: str, options: Options | None = None) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URI, and the path there. Local paths are taken literally.

    Raises:
        SourceError: for a scheme that is unknown or not installed, options that it does not accept, or a store that
            it cannot connect to.
    """
    if uri.startswith("file://"):
        uri = url2pathname(uri.removeprefix("file://"))
    if "://" not in uri:
        return fsspec.filesystem("file"), uri
    try:
        if is_web(uri) and "::" not in uri:
            return _web(**(options or {})), uri
        if uri.startswith(_GOOGLE):
            options = {"retry_timeout": _GOOGLE_PATIENCE_S, **(options or {})}
            _silence("gcsfs")
        if uri.startswith(_S3) and _S3_VERSION in uri:
            # Otherwise s3fs leaves the version out of account, and reads the object as it is now.
            options = {"version_aware": True, **(options or {})}
        fs, path = fsspec.core.url_to_fs(uri, **(options or {}))
    except ImportError as error:
        extra = _EXTRAS.get(uri.partition("://")[0])
        hint = f"; pip install 'dna_pipelines[{extra}]'" if extra else ""
        raise SourceError(f"{uri}: {error}{hint}", code="source.missing-package", uri=uri, extra=extra) from error
    except (ValueError, TypeError) as error:
        raise _refused_options(uri, error) from error
    # Some clients connect at once, and raise whatever their library raises.
    except Exception as error:
        raise source_error(f"{uri} cannot be reached", error, uri=uri) from error
    return fs, path


def _refused_options(uri: str, error: Exception) -> SourceError:
    scheme = uri.split("::", maxsplit=1)[0].partition("://")[0]
    if scheme not in fsspec.available_protocols():
        return SourceError(f"{uri}: {error}", code="source.unknown-scheme", uri=uri, scheme=scheme)
    return SourceError(f"{uri}: {error}", code="source.bad-options", uri=uri)


def _web(**options: Any) -> fsspec.AbstractFileSystem:
    # aiohttp is an optional package.
    from dna_pipelines.sources.web import WebFileSystem

    return WebFileSystem(**options)


def _silence(library: str) -> None:
    """Silence a library that logs each error with its trace before raising it."""
    logger = logging.getLogger(library)
    # A level that is set shows that the user wants to see the log.
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def find(fs: fsspec.AbstractFileSystem, root: str, uri: str) -> dict[str, dict[str, Any]]:
    """The descriptions of every file below a folder now, by full path; a single file is described as itself.

    Raises:
        SourceError: when the location does not exist or cannot be listed.
    """
    try:
        # fsspec caches listings for the lifetime of the process, which would hide changes.
        fs.invalidate_cache()
        infos: dict[str, dict[str, Any]] = with_retries(fs, partial(fs.find, root, detail=True))
        if not infos and not with_retries(fs, partial(fs.exists, root)):
            raise SourceError(f"{uri} does not exist", code="source.missing", uri=uri)
        fs.invalidate_cache()
    except SourceError:
        raise
    # fsspec back ends raise whatever their client library raises.
    except Exception as error:
        raise source_error(f"{uri} cannot be listed", error, uri=uri) from error
    return infos


def info_of(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any]:
    """The description of one file.

    Raises:
        FileNotFoundError: when the file system says that the file does not exist. Any other exception means that it
            could not answer.
    """
    info: dict[str, Any] = with_retries(fs, partial(fs.info, path))
    return info


def read_object(fs: fsspec.AbstractFileSystem, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Read one object, or its bytes from `start` to `end`.

    Raises:
        OSError: when it cannot be read, whatever a back end raises.
        SourceError: when the server ignores the range and sends other bytes.
    """
    data: bytes = read_with_retries(fs, partial(fs.cat_file, path, start=start, end=end))
    if start is not None and end is not None and len(data) > end - start:
        raise no_range_requests(path)
    return data


def entry_of(path: bytes, info: Mapping[str, Any]) -> Entry:
    """The entry for the description of a file."""
    time_s = info.get("mtime")
    modified_ns = int(time_s * 1e9) if isinstance(time_s, float) else None
    if not shows_change(info):
        # The file is read at every scan.
        modified_ns = time.time_ns()
    size = info.get("size")
    return Entry(path, None if size is None else int(size), signature_of(info), modified_ns)


def shows_change(info: Mapping[str, Any]) -> bool:
    """Whether the description of a file changes when the file does."""
    return any(info.get(key) for key in (*_CHECKSUMS, *_TIMES))


def signature_of(info: Mapping[str, Any]) -> str:
    """The part of a description that changes when the file does: an etag or checksum, else its times."""
    for key in _CHECKSUMS:
        if info.get(key):
            return f"{info.get('size')}-{info[key]}".replace('"', "")
    return f"{info.get('size')}-{next((info[key] for key in _TIMES if info.get(key)), '')}"
