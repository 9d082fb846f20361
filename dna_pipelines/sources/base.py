"""What a source is, and which of its files are images."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fsspec.utils import glob_translate

IMAGE_SUFFIXES = (
    "avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm",
    "ppm", "tga", "tif", "tiff", "webp",
    # The formats of newer cameras and phones are not decoded: such files are quarantined, not ignored.
    "heic", "heif", "hif", "jxl",
)  # fmt: skip
"""Suffixes of images where a dataset has no globs."""

MAX_IMAGE_BYTES = 2**30
"""The largest file that is read; an uncompressed image of the largest size that is decoded fits into it."""

_ENDINGS = frozenset(f".{suffix}".encode() for suffix in IMAGE_SUFFIXES)
_USUAL_ENDINGS = frozenset(cased for ending in _ENDINGS if len(ending) == 4 for cased in (ending, ending.upper()))

_LEADING_DOT = re.compile(rb"\A(?:\./+)+(?=[^/])")


class Entry(NamedTuple):
    """One listed file.

    Attributes:
        path: relative to the location; bytes, because file names are.
        size_bytes: None where only reading tells.
        signature: changes whenever the file may have changed: size and modification time, an etag, or a checksum of
            the archive.
        modified_ns: set where only a time shows changes.
        problem: why the file cannot be read; None where it can.
        metadata: what the location itself says of the image, beside its bytes.
        holds: of an entry that stands for a whole folder, archive or table that cannot be read (or not to its end), the
            beginning of the paths of the images in it; None for one file.
    """

    path: bytes
    size_bytes: int | None
    signature: str
    modified_ns: int | None = None
    problem: str | None = None
    metadata: Mapping[str, str] | None = None
    holds: bytes | None = None

    @property
    def is_container(self) -> bool:
        """Whether the entry stands for a whole folder, archive or table."""
        return self.holds is not None


@dataclass(frozen=True)
class Listing:
    """The files of a source now, sorted by path."""

    entries: list[Entry]
    n_ignored: int = 0
    """Files that no glob selects, and names that are listed a second time."""
    ignored: bytes | None = None
    """A file that no glob selects, as an example."""
    remarks: tuple[str, ...] = ()
    """What is odd in the files, and costs no image."""


class Source(Protocol):
    """A location from which images are listed and read. Safe to use from several threads."""

    def list(self) -> Listing:
        """The files that the dataset's globs select.

        Raises:
            SourceError: when the location cannot be reached.
        """
        ...

    def read(self, path: bytes) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: when it cannot be read.
            Unreadable: when the location is sound and this one file is not.
        """
        ...


class Selection:
    """The paths that belong to the dataset: those that a glob matches (without globs, those with an image suffix)."""

    def __init__(self, globs: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.globs = tuple(globs)
        self._wanted = _any_of(globs) if globs else None
        self._unwanted = _any_of(exclude) if exclude else None

    def __call__(self, path: bytes) -> bool:
        """Whether a path, relative to the source, belongs to the dataset."""
        if self._wanted is None:
            # Called for every file at every scan, therefore without decoding and patterns.
            wanted = path[-4:] in _USUAL_ENDINGS or path[path.rfind(b".") :].lower() in _ENDINGS
            return wanted and (self._unwanted is None or self.admits(path))
        return self.admits(path)

    def admits(self, path: bytes) -> bool:
        """Whether globs and excludes select a path, whatever its suffix."""
        text = os.fsdecode(path)
        wanted = self._wanted is None or self._wanted.search(text) is not None
        return wanted and (self._unwanted is None or self._unwanted.search(text) is None)

    def leaves_out(self, folder: bytes) -> bool:
        """Whether an exclude leaves out all that may be below a folder, whose path ends with a slash."""
        # No file has such a name, so that only a wildcard matches it.
        return self._unwanted is not None and self._unwanted.search(os.fsdecode(folder + b"\0/\0")) is not None


def without_leading_dot(name: bytes) -> bytes:
    """A name without the leading `./` of `find`: both names are one file."""
    return _LEADING_DOT.sub(b"", name)


def _any_of(globs: Sequence[str]) -> re.Pattern[str]:
    # A bare `*.png` means that suffix at any depth, as in .gitignore.
    deep = [glob if "/" in glob else f"**/{glob}" for glob in globs]
    patterns = (glob_translate(glob) for glob in deep)
    return re.compile("|".join(rf"\A(?:{pattern})" for pattern in patterns))
