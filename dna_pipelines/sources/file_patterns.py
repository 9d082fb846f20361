"""The files that a dataset of archives or tables consists of: one file, those of a pattern, or those of a folder."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Entry
from dna_pipelines.sources.failures import source_error
from dna_pipelines.sources.files import SourceFile
from dna_pipelines.sources.names import name_of_address
from dna_pipelines.sources.remote import Options, entry_of, file_system_of, find, info_of, is_web
from dna_pipelines.sources.retries import with_retries

_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"(\d+)\.\.(\d+)")
_MOST_NAMES = 1_000_000


def find_files(
    uri: str, suffixes: Sequence[str], options: Options | None = None, base: str = ""
) -> tuple[list[SourceFile], list[Entry]]:
    """The files of a URI in order of their names, and an entry for each file that is named but does not exist.

    Args:
        uri: one file, a pattern such as `train-{0000..0099}.tar` or `*.tar`, or a folder.
        suffixes: the suffixes that files of a folder must have.
        options: for the file system.
        base: the beginning of the URI that is taken literally even where it looks like a pattern.

    Raises:
        SourceError: when nothing has that name, or it cannot be listed.
    """
    fs, path = file_system_of(uri, options)
    fs.invalidate_cache()
    try:
        info = _info(fs, path)
        if info is None:
            pattern = path.removeprefix(base)
            names = list(_expanded(pattern))
            if len(names) > 1 or is_pattern(pattern):
                return _matching(fs, base, pattern, names, uri)
            raise SourceError(f"{uri} does not exist", code="source.missing", uri=uri)
        if info["type"] == "directory":
            return _below(fs, path, suffixes, uri)
        (file,) = _files(fs, {path: info}, _names([path], path.rpartition("/")[0]), uri)
        return [replace(file, is_whole=True)], []
    except SourceError:
        raise
    except Exception as error:
        raise source_error(f"{uri} cannot be listed", error, uri=uri) from error


def _info(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    try:
        return info_of(fs, path)
    except FileNotFoundError:
        return None


def is_pattern(path: str) -> bool:
    """Whether a path has wildcards; braces are expanded before. On the web, a question mark begins a query."""
    return re.search(r"[*\[]" if is_web(path) else r"[*?\[]", path) is not None


def _below(
    fs: fsspec.AbstractFileSystem, folder: str, suffixes: Sequence[str], uri: str
) -> tuple[list[SourceFile], list[Entry]]:
    infos = {path: info for path, info in find(fs, folder, uri).items() if path.lower().endswith(tuple(suffixes))}
    if not infos:
        raise SourceError(
            f"{uri} has no file that ends in {', '.join(suffixes)}",
            code="source.no-files",
            uri=uri,
            suffixes=list(suffixes),
        )
    infos, missing = _through_links(fs, infos, folder, uri)
    return _files(fs, infos, _names(list(infos), folder), uri), missing


def _matching(
    fs: fsspec.AbstractFileSystem, base: str, pattern: str, names: list[str], uri: str
) -> tuple[list[SourceFile], list[Entry]]:
    root = base + re.split(r"[*?\[{]", pattern, maxsplit=1)[0].rpartition("/")[0]
    infos: dict[str, Any] = {}
    missing: list[Entry] = []
    absent = []
    for name in names:
        if not is_pattern(name):
            if (info := _info(fs, base + name)) is not None:
                infos[base + name] = info
            else:
                absent.append(base + name)
        elif isinstance(fs, LocalFileSystem):
            paths = glob.glob(name, root_dir=base or None, recursive=True, include_hidden=True)
            described, broken = _through_links(fs, {base + path: {} for path in paths}, root, uri)
            infos |= described
            missing += broken
        else:
            infos |= with_retries(fs, partial(fs.glob, name, detail=True))
    infos = {path: info for path, info in infos.items() if info["type"] != "directory"}
    if not infos:
        raise SourceError(f"no file matches {uri}", code="source.no-files", uri=uri)
    called = _names([*infos, *absent], root)
    missing += [_missing(called[path], f"named by {uri}, but it does not exist") for path in absent]
    return _files(fs, infos, called, uri), missing


def _through_links(
    fs: fsspec.AbstractFileSystem, infos: Mapping[str, Any], root: str, uri: str
) -> tuple[dict[str, Any], list[Entry]]:
    """The descriptions of the files that links lead to, and an entry for each broken link.

    A local listing describes the links themselves, whose time does not show a change of the file.
    """
    if not isinstance(fs, LocalFileSystem):
        return dict(infos), []
    described, missing = {}, []
    for path in infos:
        if (info := _info(fs, path)) is not None:
            described[path] = info
        else:
            missing.append(_missing(_relative(path, root), f"found at {uri}, but it is a link to nothing"))
    return described, missing


def _missing(name: bytes, problem: str) -> Entry:
    return Entry(name, 0, "missing", problem=without_credentials(problem), holds=name + b"/")


def _files(
    fs: fsspec.AbstractFileSystem, infos: Mapping[str, Any], names: Mapping[str, bytes], uri: str
) -> list[SourceFile]:
    scheme = uri.partition("://")[0] + "://" if "://" in uri else ""
    files = []
    for path in sorted(infos):
        name, whole = names[path], path if "://" in path else f"{scheme}{path}"
        files.append(SourceFile(name, whole, fs, path, entry_of(name, infos[path])))
    return files


def _names(paths: Sequence[str], root: str) -> dict[str, bytes]:
    """The names of files by their paths; on the web without a query, unless only the query tells them apart."""
    names = {path: _relative(without_credentials(path), root) for path in paths}
    if is_web(root):
        short = {path: _relative(path.partition("?")[0], root) for path in paths}
        names = short if len(set(short.values())) == len(names) else names
    return names


def _relative(path: str, root: str) -> bytes:
    # Only one slash is removed, because a key may continue with another.
    below = path.removeprefix(root.rstrip("/")).removeprefix("/")
    return name_of_address(below) if is_web(root) else os.fsencode(below)


def _expanded(path: str) -> Iterator[str]:
    """Names with `{a,b}` and `{0000..0099}` written out, as a shell and WebDataset do; other braces stay."""
    pieces = _BRACES.split(path)
    choices = [[piece] if index % 2 == 0 else _choices(piece) for index, piece in enumerate(pieces)]
    n_names = 1
    for choice in choices:
        n_names *= len(choice)
    if n_names > _MOST_NAMES:
        raise _too_many(path, n_names)
    return ("".join(name) for name in product(*choices))


def _choices(piece: str) -> Sequence[str]:
    if numbers := _NUMBERS.fullmatch(piece):
        first, last = numbers.groups()
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if int(last) - int(first) >= _MOST_NAMES:
            raise _too_many(f"{{{piece}}}", int(last) - int(first) + 1)
        return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
    return piece.split(",") if "," in piece else [f"{{{piece}}}"]


def _too_many(pattern: str, n_names: int) -> SourceError:
    return SourceError(
        f"{pattern} names {n_names:,} files; the limit is {_MOST_NAMES:,}",
        code="source.too-many-files",
        pattern=pattern,
        n_names=n_names,
        limit=_MOST_NAMES,
    )
