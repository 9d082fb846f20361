"""A folder tree on this machine. Paths are bytes, because file names are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection
from dna_pipelines.sources.failures import source_error

# A scan creates one entry per file, and the constructor with names takes twice as long.
_new_entry = partial(tuple.__new__, Entry)


class FolderSource:
    """Files below a local folder; links are followed."""

    def __init__(self, root: Path, selection: Selection, *, without: Sequence[Path] = ()) -> None:
        """`without` are folders that are never entered, such as those of the project's own files."""
        self._without = {os.path.realpath(os.fsencode(folder)) for folder in without}
        self._root = os.fsencode(root)
        self._selection = selection

    def list(self) -> Listing:
        """Walk the tree; a link to a folder that contains it is not followed."""
        uri = os.fsdecode(self._root)
        self._require_folder(uri)
        entries: list[Entry] = []
        n_ignored, ignored, wanted = 0, None, self._selection.__call__
        stack, followed = [b""], set[bytes]()
        while stack:
            prefix = stack.pop()
            folder = self._root + b"/" + prefix
            try:
                # In order, so that of two links to one folder every scan follows the same one.
                items = sorted(os.scandir(folder), key=attrgetter("name"))
            except OSError as error:
                if not prefix:
                    raise source_error(f"{uri} cannot be listed", error, uri=uri) from error
                if not self._selection.leaves_out(prefix):
                    problem = f"folder cannot be listed: {error.strerror}"
                    entries.append(Entry(prefix, 0, "unlistable", None, problem, None, prefix))
                continue
            for item in items:
                path = prefix + item.name
                if _is_dir(item):
                    if self._without and os.path.realpath(item.path) in self._without:
                        continue
                    if not item.is_symlink() or _may_follow(folder, item.path, followed):
                        stack.append(path + b"/")
                elif wanted(path):
                    entries.append(_entry(path, item))
                else:
                    n_ignored, ignored = n_ignored + 1, path
        entries.sort()
        return Listing(entries, n_ignored, ignored)

    def _require_folder(self, uri: str) -> None:
        if not os.path.isdir(self._root):
            if os.path.exists(self._root):
                raise SourceError(f"{uri} is a file, not a folder", code="source.not-a-folder", uri=uri)
            raise SourceError(f"{uri} does not exist", code="source.missing", uri=uri)

    def read(self, path: bytes) -> bytes:
        """Read one file, relative to the folder."""
        with open(os.path.join(self._root, path), "rb") as file:
            return file.read()


def _is_dir(item: os.DirEntry[bytes]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        # A link to itself, or into a folder that may not be entered; `_entry` reports the reason.
        return False


def _entry(path: bytes, item: os.DirEntry[bytes]) -> Entry:
    try:
        status = item.stat()
    except OSError as error:
        return Entry(path, 0, "broken", None, f"cannot be opened: {error.strerror}")
    if not S_ISREG(status.st_mode):
        return Entry(path, 0, "special", None, "not a regular file")
    size, modified_ns = status.st_size, status.st_mtime_ns
    return _new_entry((path, size, "%x-%x" % (size, modified_ns), modified_ns, None, None, None))  # noqa: UP031


def _may_follow(folder: bytes, link: bytes, followed: set[bytes]) -> bool:
    """Each linked folder is entered once, and never one that contains the link: loops would not end."""
    parent, target = os.path.realpath(folder), os.path.realpath(link)
    if target in followed or parent == target or parent.startswith(target.rstrip(b"/") + b"/"):
        return False
    followed.add(target)
    return True
