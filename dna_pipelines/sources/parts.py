"""The files that a dataset of archives or tables is made of: one, those of a pattern, or those of a folder."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.asking import asked, asked_for_bytes, cannot
from dna_pipelines.sources.base import Entry
from dna_pipelines.sources.remote import Options, entry_of, file_system_of, find, info_of

_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
_MOST_NAMES = 1_000_000


_BLOCK_BYTES = 2**20
"""What is read ahead of a file far away."""


@dataclass(frozen=True)
class Part:
    """One file with images in it.

    Attributes:
        name: relative to the dataset's uri.
        place: the whole name, as a key.
        fs, path: where it is read.
        entry: what listing it said; its signature changes whenever the file may have.
        is_whole: whether the uri names this file and no other.
    """

    name: bytes
    place: str
    fs: fsspec.AbstractFileSystem
    path: str
    entry: Entry
    is_whole: bool = False

    @property
    def shown(self) -> str:
        """The whole name, for messages."""
        return os.fsencode(self.place).decode("utf-8", "backslashreplace")

    @contextmanager
    def opened(self) -> Iterator[Watched]:
        """The file, to be read where one likes."""
        with asked_for_bytes(self.fs, partial(self.fs.open, self.path, "rb", block_size=_BLOCK_BYTES)) as file:
            # A stream that only goes on says so here; later it would be taken for a damaged file.
            file.seek(1)
            file.seek(0)
            yield Watched(self.fs, file, self.entry.size_bytes)


class Watched:
    """A file that remembers whether reading it failed.

    Whoever makes sense of its bytes may raise anything: where reading did not fail, the bytes are to blame.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, file: Any, size_bytes: int | None) -> None:
        self._fs = fs
        self._file = file
        self._size_bytes = size_bytes
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes; memory is not set aside for more than there are, whatever the file says of itself."""
        most = size if self._size_bytes is None else min(size, self._size_bytes)
        try:
            # One that failed has not moved on, and begins anew where it was.
            data: bytes = asked_for_bytes(self._fs, partial(self._file.read, most))
        except Exception as error:
            self.failure = error
            raise
        return data

    def __getattr__(self, name: str) -> Any:
        """Everything else is the file's."""
        return getattr(self._file, name)


def find_parts(
    place: str, suffixes: Sequence[str], options: Options | None = None, base: str = ""
) -> tuple[list[Part], list[Entry]]:
    """The files of a uri in order of their names, and an entry for each that is named and is not there.

    Args:
        place: one file, a pattern such as `train-{0000..0099}.tar` or `*.tar`, or a folder.
        suffixes: those that files of a folder must have.
        options: for the file system.
        base: what the place begins with, taken as it is even where it looks like a pattern.

    Raises:
        SourceError: when there is nothing of that name, or it cannot be listed.
    """
    fs, path = file_system_of(place, options)
    fs.invalidate_cache()
    try:
        info = _info(fs, path)
        if info is None:
            wanted = path.removeprefix(base)
            names = list(_expanded(wanted))
            if len(names) > 1 or _is_pattern(wanted):
                return _of_pattern(fs, base, wanted, names, place)
            raise SourceError(f"{place} does not exist")
        if info["type"] == "directory":
            below = find(fs, path, place)
            chosen = {full: one for full, one in below.items() if full.lower().endswith(tuple(suffixes))}
            if not chosen:
                raise SourceError(f"{place} has no file that ends in {', '.join(suffixes)}")
            chosen, missing = _through_links(fs, chosen, path, place)
            return _parts(fs, chosen, path, place), missing
        (part,) = _parts(fs, {path: info}, path.rpartition("/")[0], place)
        return [replace(part, is_whole=True)], []
    except SourceError:
        raise
    except Exception as error:
        raise cannot(f"{place} cannot be listed", error) from error


def _info(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    try:
        return info_of(fs, path)
    except FileNotFoundError:
        return None


def _is_pattern(path: str) -> bool:
    return re.search(r"[*?\[]", path) is not None


def _of_pattern(
    fs: fsspec.AbstractFileSystem, base: str, wanted: str, names: list[str], place: str
) -> tuple[list[Part], list[Entry]]:
    root = base + re.split(r"[*?\[{]", wanted, maxsplit=1)[0].rpartition("/")[0]
    found: dict[str, Any] = {}
    missing = []
    for name in names:
        if not _is_pattern(name):
            if (info := _info(fs, base + name)) is not None:
                found[base + name] = info
            else:
                problem = f"named by {place}, but it does not exist"
                missing.append(_missing(_relative(base + name, root), problem))
        elif isinstance(fs, LocalFileSystem):
            there = glob.glob(name, root_dir=base or None, recursive=True, include_hidden=True)
            described, gone = _through_links(fs, {base + one: {} for one in there}, root, place)
            found |= described
            missing += gone
        else:
            found |= asked(fs, partial(fs.glob, name, detail=True))
    found = {full: info for full, info in found.items() if info["type"] != "directory"}
    if not found:
        raise SourceError(f"nothing is named {place}")
    return _parts(fs, found, root, place), missing


def _through_links(
    fs: fsspec.AbstractFileSystem, found: Mapping[str, Any], root: str, place: str
) -> tuple[dict[str, Any], list[Entry]]:
    """What files are, not what links to them are; and an entry for each link that leads nowhere.

    A local listing describes links themselves, whose time says nothing of the file.
    """
    if not isinstance(fs, LocalFileSystem):
        return dict(found), []
    described, missing = {}, []
    for full in found:
        if (info := _info(fs, full)) is not None:
            described[full] = info
        else:
            missing.append(_missing(_relative(full, root), f"found at {place}, but it is a link to nothing"))
    return described, missing


def _missing(name: bytes, problem: str) -> Entry:
    return Entry(name, 0, "missing", problem=problem, is_container=True)


def _parts(fs: fsspec.AbstractFileSystem, found: Mapping[str, Any], root: str, place: str) -> list[Part]:
    scheme = place.partition("://")[0] + "://" if "://" in place else ""
    parts = []
    for full in sorted(found):
        name = _relative(full, root)
        whole = full if "://" in full else f"{scheme}{full}"
        parts.append(Part(name, whole, fs, full, entry_of(name, found[full])))
    return parts


def _relative(full: str, root: str) -> bytes:
    # One slash alone: a key may go on with another.
    return os.fsencode(full.removeprefix(root.rstrip("/")).removeprefix("/"))


def _expanded(path: str) -> Iterator[str]:
    """Names with `{a,b}` and `{0000..0099}` written out, as a shell and WebDataset do; other braces stay."""
    pieces = _BRACES.split(path)
    choices = [[piece] if place % 2 == 0 else _choices(piece) for place, piece in enumerate(pieces)]
    n_names = 1
    for choice in choices:
        n_names *= len(choice)
    if n_names > _MOST_NAMES:
        raise SourceError(f"{path} names {n_names:,} files; at most {_MOST_NAMES:,} can be")
    return ("".join(name) for name in product(*choices))


def _choices(piece: str) -> Sequence[str]:
    if numbers := _NUMBERS.fullmatch(piece):
        first, last = numbers.groups()
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if int(last) - int(first) >= _MOST_NAMES:
            raise SourceError(f"{{{piece}}} names {int(last) - int(first) + 1:,} files; at most {_MOST_NAMES:,} can be")
        return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
    return piece.split(",") if "," in piece else [f"{{{piece}}}"]
