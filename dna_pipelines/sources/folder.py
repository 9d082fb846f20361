"""A folder tree on this machine. Paths are bytes, because file names are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import MutableSequence, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry, Listing, Selection, TableFile
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.image_folder import TABLE_NAMES, is_table

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
        self._require_folder()
        entries: list[Entry] = []
        tables = _tables_above(self._root)
        n_ignored, ignored, wanted = 0, None, self._selection.__call__
        stack, followed = [b""], set[bytes]()
        while stack:
            prefix = stack.pop()
            folder = self._root + b"/" + prefix
            for item in self._items(prefix, entries):
                path = prefix + item.name
                if _is_dir(item):
                    if self._without and os.path.realpath(item.path) in self._without:
                        continue
                    if not item.is_symlink() or _may_follow(folder, item.path, followed):
                        stack.append(path + b"/")
                elif item.name in TABLE_NAMES and is_table(path, self._selection):
                    entry = _entry(path, item)
                    tables.append(TableFile(path, entry.size_bytes, entry.signature))
                elif wanted(path):
                    entries.append(_entry(path, item))
                else:
                    n_ignored, ignored = n_ignored + 1, path
        entries.sort()
        return Listing(entries, n_ignored, ignored, tables=tuple(tables))

    def _items(self, prefix: bytes, entries: MutableSequence[Entry]) -> Sequence[os.DirEntry[bytes]]:
        """What is in a folder; of one that cannot be listed, nothing, and an entry with the reason."""
        try:
            # In order, so that of two links to one folder every scan follows the same one.
            return sorted(os.scandir(self._root + b"/" + prefix), key=attrgetter("name"))
        except OSError as error:
            if not prefix:
                uri = os.fsdecode(self._root)
                raise source_error(f"{uri} cannot be listed", error, uri=uri) from error
            if not self._selection.leaves_out(prefix):
                problem = f"folder cannot be listed: {error.strerror}"
                entries.append(Entry(prefix, 0, "unlistable", None, problem, None, prefix))
            return []

    def _require_folder(self) -> None:
        uri = os.fsdecode(self._root)
        if not os.path.isdir(self._root):
            if os.path.exists(self._root):
                raise SourceError(f"{uri} is a file, not a folder", code="source.not-a-folder", uri=uri)
            raise SourceError(f"{uri} does not exist", code="source.missing", uri=uri)

    def read(self, path: bytes) -> bytes:
        """Read one file, relative to the folder."""
        full = os.path.join(self._root, path)
        # Where the folder is a link, the system would look for what lies above its target.
        with open(os.path.normpath(full) if path.startswith(b"../") else full, "rb") as file:
            # Files of the kernel have no size, and reading one may wait for ever (/proc/kmsg).
            return file.read() if os.fstat(file.fileno()).st_size else b""


def _tables_above(root: bytes) -> list[TableFile]:
    """The tables beside the folder itself, which name its images where it is one split of a dataset."""
    above, name = os.path.split(os.path.abspath(root))
    tables = []
    for table in TABLE_NAMES:
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(above, table))
            signature = f"{status.st_size:x}-{status.st_mtime_ns:x}"
            if S_ISREG(status.st_mode):
                tables.append(TableFile(b"../" + table, status.st_size, signature, name + b"/"))
    return tables


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
