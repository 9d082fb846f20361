"""The files of an archive or table source, opened so that a failure to read is not taken for damaged bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import fsspec

from dna_pipelines.sources.base import Entry
from dna_pipelines.sources.retries import read_with_retries

_BLOCK_BYTES = 2**20
"""Bytes read ahead from a remote file."""


@dataclass(frozen=True)
class SourceFile:
    """One file that contains images.

    Attributes:
        name: relative to the location of the dataset.
        uri: the whole name, used as a key.
        fs: the file system.
        path: the path on the file system.
        entry: what the listing says of it; its signature changes whenever the file may have changed.
        is_whole: whether the location of the dataset names this file and no other.
    """

    name: bytes
    uri: str
    fs: fsspec.AbstractFileSystem
    path: str
    entry: Entry
    is_whole: bool = False

    @property
    def display_uri(self) -> str:
        """The whole name as valid text, for messages."""
        return os.fsencode(self.uri).decode("utf-8", "backslashreplace")

    @contextmanager
    def open(self) -> Iterator[MonitoredFile]:
        """The file, open for reading at any offset."""
        with read_with_retries(self.fs, partial(self.fs.open, self.path, "rb", block_size=_BLOCK_BYTES)) as file:
            # A stream that cannot seek fails here; later the failure would be taken for a damaged file.
            file.seek(1)
            file.seek(0)
            yield MonitoredFile(self.fs, file, self.entry.size_bytes)


class MonitoredFile:
    """A file that remembers whether reading it failed.

    A parser of its bytes may raise anything. Where `failure` is None, the bytes are at fault and not the store.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, file: Any, size_bytes: int | None) -> None:
        self._fs = fs
        self._file = file
        self._size_bytes = size_bytes
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; the size of the file bounds the memory, whatever a header claims."""
        most = size if self._size_bytes is None else min(size, self._size_bytes)
        try:
            # A read that failed has not moved the position, so that a retry starts at the same byte.
            data: bytes = read_with_retries(self._fs, partial(self._file.read, most))
        except Exception as error:
            self.failure = error
            raise
        return data

    def __getattr__(self, name: str) -> Any:
        """Everything else is the file's."""
        return getattr(self._file, name)
