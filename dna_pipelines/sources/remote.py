"""A folder tree on any file system that fsspec knows (s3://, gs://, http://, memory://)."""

from __future__ import annotations

import os
from typing import Any
from urllib.request import url2pathname

import fsspec

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection


class RemoteSource:
    """Objects below a URI."""

    def __init__(self, uri: str, selection: Selection) -> None:
        self._uri = uri
        self._selection = selection
        try:
            self._fs, root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:
            raise SourceError(f"{uri}: {error}") from error
        self._root = root.rstrip("/")

    def list(self) -> Listing:
        """List every object below the URI in one sweep."""
        try:
            if not self._fs.exists(self._root):
                raise SourceError(f"{self._uri} does not exist")
            found: dict[str, dict[str, Any]] = self._fs.find(self._root, detail=True)
        except SourceError:
            raise
        # fsspec back ends raise whatever their client library raises.
        except Exception as error:
            raise SourceError(f"{self._uri} cannot be listed: {type(error).__name__}: {error}") from error
        if self._root in found:
            raise SourceError(f"{self._uri} is a single object; use the folder it lies in, or an index .txt")
        entries, n_ignored = [], 0
        for full, info in found.items():
            path = os.fsencode(full.removeprefix(self._root).lstrip("/"))
            if self._selection(path):
                entries.append(Entry(path, int(info.get("size") or 0), signature_of(info)))
            else:
                n_ignored += 1
        return Listing(sorted(entries, key=lambda entry: entry.path), n_ignored)

    def read(self, path: bytes) -> bytes:
        """Read one object, relative to the URI."""
        return read_object(self._fs, f"{self._root}/{os.fsdecode(path)}")


def file_system_of(place: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a place, and the path there. In a local path nothing has a meaning of its own."""
    if place.startswith("file://"):
        place = url2pathname(place.removeprefix("file://"))
    if "://" not in place:
        return fsspec.filesystem("file"), place
    fs, path = fsspec.core.url_to_fs(place)
    return fs, path


def read_object(fs: fsspec.AbstractFileSystem, path: str) -> bytes:
    """Read one object; whatever a back end raises becomes an OSError."""
    try:
        data: bytes = fs.cat_file(path)
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    return data


def signature_of(info: dict[str, Any]) -> str:
    """What of a file's description changes when the file does: an etag or checksum, else its times."""
    for key in ("ETag", "etag", "md5Hash", "crc32c", "content_md5"):
        if info.get(key):
            return f"{info.get('size')}-{info[key]}".replace('"', "")
    time = next(
        (info[key] for key in ("LastModified", "last_modified", "mtime", "updated", "created") if info.get(key)), ""
    )
    return f"{info.get('size')}-{time}"
