"""A folder tree on any file system that fsspec knows (s3://, gs://, http://, memory://)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.request import url2pathname

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.asking import asked, asked_for_bytes, cannot, not_in_place
from dna_pipelines.sources.base import Entry, Listing, Selection

Options = Mapping[str, Any]
"""What a file system needs to be reached, such as an endpoint."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
_WEB = ("http://", "https://")
_GOOGLE = ("gs://", "gcs://")
_GOOGLE_PATIENCE_S = 5.0
"""Its client asks for the kind of a bucket before each listing, in another protocol, and where there is no connection
(or a firewall) each time for a minute. We do well without."""
_CHECKSUMS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "Content-MD5")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created")


class RemoteSource:
    """Objects below a URI."""

    def __init__(self, uri: str, selection: Selection, options: Options | None = None) -> None:
        self._uri = uri
        self._selection = selection
        self._fs, root = file_system_of(uri, options)
        self._root = root.rstrip("/")

    def list(self) -> Listing:
        """List every object below the URI in one sweep."""
        found = find(self._fs, self._root, self._uri)
        if self._root in found:
            raise SourceError(f"{self._uri} is a single object; use the folder it lies in, or an index .txt")
        entries, n_ignored, ignored = [], 0, None
        for full, info in found.items():
            path = os.fsencode(full.removeprefix(self._root).removeprefix("/"))
            if self._selection(path):
                entries.append(entry_of(path, info))
            else:
                n_ignored, ignored = n_ignored + 1, path
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored, ignored)

    def read(self, path: bytes) -> bytes:
        """Read one object, relative to the URI."""
        return read_object(self._fs, f"{self._root}/{os.fsdecode(path)}")


def file_system_of(place: str, options: Options | None = None) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a place, and the path there. In a local path nothing has a meaning of its own.

    Raises:
        SourceError: for a scheme that is not known or not installed, or options it does not take.
    """
    if place.startswith("file://"):
        place = url2pathname(place.removeprefix("file://"))
    if "://" not in place:
        return fsspec.filesystem("file"), place
    try:
        if place.startswith(_WEB) and "::" not in place:
            return _web(**(options or {})), place
        if place.startswith(_GOOGLE):
            options = {"retry_timeout": _GOOGLE_PATIENCE_S, **(options or {})}
            _hush("gcsfs")
        fs, path = fsspec.core.url_to_fs(place, **(options or {}))
    except ImportError as error:
        extra = _EXTRAS.get(place.partition("://")[0])
        hint = f"; pip install 'dna_pipelines[{extra}]'" if extra else ""
        raise SourceError(f"{place}: {error}{hint}") from error
    except (ValueError, TypeError) as error:
        raise SourceError(f"{place}: {error}") from error
    return fs, path


def _web(**options: Any) -> fsspec.AbstractFileSystem:
    # Its client is an extra.
    from dna_pipelines.sources.web import WebFileSystem

    return WebFileSystem(**options)


def _hush(library: str) -> None:
    """A library that logs the errors it raises, with traces, before whoever catches them can say what they mean."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        # Otherwise somebody wants to see them.
        logger.setLevel(logging.CRITICAL)


def find(fs: fsspec.AbstractFileSystem, root: str, uri: str) -> dict[str, dict[str, Any]]:
    """Every file below a folder as it is now, by full path; a file by itself is found as itself.

    Raises:
        SourceError: when there is nothing, or it cannot be listed.
    """
    try:
        # fsspec remembers listings for as long as the process lives, and changes would not be seen.
        fs.invalidate_cache()
        found: dict[str, dict[str, Any]] = asked(fs, partial(fs.find, root, detail=True))
        if not found and not asked(fs, partial(fs.exists, root)):
            raise SourceError(f"{uri} does not exist")
        fs.invalidate_cache()
    except SourceError:
        raise
    # fsspec back ends raise whatever their client library raises.
    except Exception as error:
        raise cannot(f"{uri} cannot be listed", error) from error
    return found


def info_of(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any]:
    """What a file system says of one file.

    Raises:
        FileNotFoundError: when it says that nothing is there. Whatever else is raised says something else.
    """
    found: dict[str, Any] = asked(fs, partial(fs.info, path))
    return found


def read_object(fs: fsspec.AbstractFileSystem, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Read one object, or the bytes of it from `start` to `end`.

    Raises:
        OSError: when it cannot be read, whatever a back end raises.
        SourceError: when more comes than was asked for: those are other bytes, of this object and of any other.
    """
    data: bytes = asked_for_bytes(fs, partial(fs.cat_file, path, start=start, end=end))
    if start is not None and end is not None and len(data) > end - start:
        raise not_in_place(path)
    return data


def entry_of(path: bytes, info: Mapping[str, Any]) -> Entry:
    """The entry for a file's description."""
    time_s = info.get("mtime")
    modified_ns = int(time_s * 1e9) if isinstance(time_s, float) else None
    if not any(info.get(key) for key in (*_CHECKSUMS, *_TIMES)):
        # Nothing would show that it changed, so that it is read at every scan.
        modified_ns = time.time_ns()
    size = info.get("size")
    return Entry(path, None if size is None else int(size), signature_of(info), modified_ns)


def signature_of(info: Mapping[str, Any]) -> str:
    """What of a file's description changes when the file does: an etag or checksum, else its times."""
    for key in _CHECKSUMS:
        if info.get(key):
            return f"{info.get('size')}-{info[key]}".replace('"', "")
    return f"{info.get('size')}-{next((info[key] for key in _TIMES if info.get(key)), '')}"
