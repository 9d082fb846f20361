"""A folder tree on any file system that fsspec knows (s3://, gs://, http://, memory://)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.request import url2pathname

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection

Options = Mapping[str, Any]
"""What a file system needs to be reached, such as an endpoint."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "http", "https": "http"}
_CHECKSUMS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "Content-MD5")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created")

_PAUSES_S = (0.5, 2.0)
"""How long to wait before a read that failed on the way is repeated. The clients of S3 and GCS repeat by
themselves, and longer; what reaches us from them has failed for good."""
_BUSY = frozenset({429, 500, 502, 503, 504})

_NO_RANGES = (
    "the server does not answer range requests, without which nothing can be read from the middle of a file; use a "
    "server that answers them, copy the file to this machine, or serve the images one by one and list them in an "
    "index .txt"
)


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
        entries, n_ignored = [], 0
        for full, info in found.items():
            path = os.fsencode(full.removeprefix(self._root).lstrip("/"))
            if self._selection(path):
                entries.append(entry_of(path, info))
            else:
                n_ignored += 1
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored)

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
        fs, path = fsspec.core.url_to_fs(place, **(options or {}))
    except ImportError as error:
        extra = _EXTRAS.get(place.partition("://")[0])
        hint = f"; pip install 'dna_pipelines[{extra}]'" if extra else ""
        raise SourceError(f"{place}: {error}{hint}") from error
    except (ValueError, TypeError) as error:
        raise SourceError(f"{place}: {error}") from error
    return fs, path


def find(fs: fsspec.AbstractFileSystem, root: str, uri: str) -> dict[str, dict[str, Any]]:
    """Every file below a folder as it is now, by full path; a file by itself is found as itself.

    Raises:
        SourceError: when there is nothing, or it cannot be listed.
    """
    try:
        # fsspec remembers listings for as long as the process lives, and changes would not be seen.
        fs.invalidate_cache()
        found: dict[str, dict[str, Any]] = fs.find(root, detail=True)
        if not found and not fs.exists(root):
            raise SourceError(f"{uri} does not exist")
        fs.invalidate_cache()
    except SourceError:
        raise
    # fsspec back ends raise whatever their client library raises.
    except Exception as error:
        raise cannot(f"{uri} cannot be listed", error) from error
    return found


def cannot(what: str, error: Exception) -> SourceError:
    """The message for whatever a back end raised."""
    said = f"{what}: {type(error).__name__}: {error}"
    # fsspec's words for a server that sends the whole file whatever is asked for, and for one that says so before.
    if "support range requests" in said or "seek streaming" in said:
        return SourceError(f"{what}: {_NO_RANGES}")
    if "credential" in said.lower():
        said += " (credentials belong in the environment, or in the files that the store's own tools use)"
    return SourceError(said)


def read_object(fs: fsspec.AbstractFileSystem, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Read one object, or the bytes of it from `start` to `end`; whatever a back end raises becomes an OSError.

    What fails on the way (a connection that breaks, a server that is busy) is repeated.

    Raises:
        OSError: when it cannot be read.
        SourceError: when more comes than was asked for: those are other bytes, of this object and of any other.
    """
    for pause_s in (*_PAUSES_S, None):
        try:
            data: bytes = fs.cat_file(path, start=start, end=end)
        except Exception as error:
            if pause_s is not None and _may_pass(error):
                time.sleep(pause_s)
                continue
            if isinstance(error, OSError):
                raise
            raise OSError(f"{type(error).__name__}: {error}") from error
        if start is not None and end is not None and len(data) > end - start:
            raise SourceError(f"{path} cannot be read in place: {_NO_RANGES}")
        return data
    raise AssertionError("the last round returns or raises")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, ConnectionError | TimeoutError) or getattr(error, "status", None) in _BUSY


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
