"""What a source is, and which of its files are images."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import regex
from fsspec.utils import glob_translate

from dna_pipelines.errors import SourceError

IMAGE_SUFFIXES = (
    "avif", "bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm",
    "ppm", "tga", "tif", "tiff", "webp",
    # The formats of newer cameras and phones are not decoded: such files are quarantined, not ignored.
    "heic", "heif", "hif", "jxl",
)  # fmt: skip
"""Suffixes of images where a dataset has no globs."""

MAX_IMAGE_BYTES = 2**30
"""The largest file that is read; an uncompressed image of the largest size that is decoded fits into it."""

_FEW_ASTERISKS = 3
_PATIENCE_S = 2.0
"""Seconds that a pattern with more asterisks may take for one name."""

_ENDINGS = frozenset(f".{suffix}".encode() for suffix in IMAGE_SUFFIXES)
_USUAL_ENDINGS = frozenset(cased for ending in _ENDINGS if len(ending) == 4 for cased in (ending, ending.upper()))


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


class TableFile(NamedTuple):
    """A table among the files of a location that describes the images beside and below it.

    Attributes:
        path: relative to the location; that of a table above the location begins with `../`.
        size_bytes, signature: as of an `Entry`.
        within: of a table above the location, the beginning of the names there that lie in the location.
    """

    path: bytes
    size_bytes: int | None
    signature: str
    within: bytes = b""


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
    tables: tuple[TableFile, ...] = ()
    """Files that describe images, as in Hugging Face's ImageFolder. They are neither listed nor ignored."""


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
    """The paths that belong to the dataset: those that a glob matches.

    Without globs, those with an image suffix, except what macOS writes beside files (`._x.png`).
    """

    def __init__(self, globs: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.globs = tuple(globs)
        self._wanted = _any_of(globs) if globs else None
        self._unwanted = _any_of(exclude) if exclude else None

    def __call__(self, path: bytes) -> bool:
        """Whether a path, relative to the source, belongs to the dataset."""
        if self._wanted is None:
            # Called for every file at every scan, therefore without decoding and patterns.
            wanted = path[-4:] in _USUAL_ENDINGS or path[path.rfind(b".") :].lower() in _ENDINGS
            # macOS writes what its file systems know of `x.png` into `._x.png` wherever it copies or packs files.
            wanted = wanted and path[path.rfind(b"/") + 1 :][:2] != b"._"
            return wanted and (self._unwanted is None or self.admits(path))
        return self.admits(path)

    def admits(self, path: bytes) -> bool:
        """Whether globs and excludes select a path, whatever its suffix."""
        text = os.fsdecode(path)
        return (self._wanted is None or self._wanted.search(text) is not None) and not self.excludes(path)

    def excludes(self, path: bytes) -> bool:
        """Whether an exclude leaves out a path."""
        return self._unwanted is not None and self._unwanted.search(os.fsdecode(path)) is not None

    def leaves_out(self, folder: bytes) -> bool:
        """Whether an exclude leaves out all that may be below a folder, whose path ends with a slash."""
        # No file has such a name, so that only a wildcard matches it.
        return self._unwanted is not None and self._unwanted.search(os.fsdecode(folder + b"\0/\0")) is not None


class _Bounded:
    """A regular expression that may take many ways through a name, for a bounded time."""

    def __init__(self, pattern: str, globs: Sequence[str]) -> None:
        self._pattern, self._globs = regex.compile(pattern), ", ".join(globs)

    def search(self, text: str) -> object:
        """The first match; None where there is none."""
        try:
            return self._pattern.search(text, timeout=_PATIENCE_S)
        except TimeoutError as error:
            name = os.fsencode(text).decode("utf-8", "backslashreplace")
            raise SourceError(
                f"the pattern {self._globs} takes too long for {name}; write it with fewer asterisks",
                code="source.slow-pattern",
                pattern=self._globs,
                path=name,
            ) from error


def _any_of(globs: Sequence[str]) -> re.Pattern[str] | _Bounded:
    # A bare `*.png` means that suffix at any depth, as in .gitignore.
    deep = [glob if "/" in glob else f"**/{glob}" for glob in globs]
    pattern = "|".join(rf"\A(?:{glob_translate(glob)})" for glob in deep)
    # Each asterisk multiplies the ways through a name by its length; few of them need no watching, which takes time.
    is_long = any(glob.replace("**", "").count("*") > _FEW_ASTERISKS for glob in globs)
    return _Bounded(pattern, globs) if is_long else re.compile(pattern)
