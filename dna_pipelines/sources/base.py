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
    # What cameras and phones write in place of a JPEG is not decoded: it is quarantined, not overlooked.
    "heic", "heif", "hif", "jxl",
)  # fmt: skip
"""Suffixes taken for images when a dataset names no globs."""

MAX_IMAGE_BYTES = 2**30
"""Largest file that is read: an uncompressed image of the largest size that is decoded fits into it."""

_ENDINGS = frozenset(f".{suffix}".encode() for suffix in IMAGE_SUFFIXES)
_USUAL_ENDINGS = frozenset(cased for ending in _ENDINGS if len(ending) == 4 for cased in (ending, ending.upper()))


_HERE = re.compile(rb"\A(?:\./+)+(?=[^/])")


class Entry(NamedTuple):
    """One listed file.

    `size_bytes` is None where only reading tells. `signature` changes whenever the file may have: size
    and modification time, an etag, or a checksum of the archive. `modified_ns` is set where a time is
    all there is to go by. `metadata` is what the place itself says of the image, beside its bytes.
    `is_container` marks what stands for a whole folder, archive or table that cannot be read.
    """

    path: bytes
    size_bytes: int | None
    signature: str
    modified_ns: int | None = None
    problem: str | None = None
    metadata: Mapping[str, str] | None = None
    is_container: bool = False


@dataclass(frozen=True)
class Listing:
    """What a source holds now, sorted by path."""

    entries: list[Entry]
    n_ignored: int = 0
    """Files that are there and that no glob asks for, and names that were given before."""
    ignored: bytes | None = None
    """One that no glob asks for, as an example."""


class Source(Protocol):
    """A place that images are listed in and read from. Safe to use from several threads."""

    def list(self) -> Listing:
        """Everything the dataset's globs ask for.

        Raises:
            SourceError: when the place cannot be reached.
        """
        ...

    def read(self, path: bytes) -> bytes:
        """The bytes of one file.

        Raises:
            OSError: when it cannot be read.
            Unreadable: when the place is sound and this one file is not.
        """
        ...


class Selection:
    """Which paths belong to the dataset: those a glob matches (or, without globs, image suffixes)."""

    def __init__(self, globs: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.globs = tuple(globs)
        self._wanted = _any_of(globs) if globs else None
        self._unwanted = _any_of(exclude) if exclude else None

    def __call__(self, path: bytes) -> bool:
        """Whether a path, relative to the source, is asked for."""
        if self._wanted is None:
            # Asked for every file at every scan, so without the detour over text and patterns.
            wanted = path[-4:] in _USUAL_ENDINGS or path[path.rfind(b".") :].lower() in _ENDINGS
            return wanted and (self._unwanted is None or self.admits(path))
        return self.admits(path)

    def admits(self, path: bytes) -> bool:
        """Whether globs and excludes let a path pass; the suffix does not matter here."""
        text = os.fsdecode(path)
        wanted = self._wanted is None or self._wanted.search(text) is not None
        return wanted and (self._unwanted is None or self._unwanted.search(text) is None)


def bare(name: bytes) -> bytes:
    """A name without the `./` that `find` begins it with: with it and without, it is one file."""
    return _HERE.sub(b"", name)


def _any_of(globs: Sequence[str]) -> re.Pattern[str]:
    # A bare `*.png` means that suffix at any depth, as in .gitignore.
    deep = [glob if "/" in glob else f"**/{glob}" for glob in globs]
    patterns = (glob_translate(glob) for glob in deep)
    return re.compile("|".join(rf"\A(?:{pattern})" for pattern in patterns))
