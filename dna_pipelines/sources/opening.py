"""From a dataset's uri to the source that can read it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.request import url2pathname

from dna_pipelines.errors import SourceError
from dna_pipelines.sources.archive import ZipSource
from dna_pipelines.sources.base import Selection, Source
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines.sources.index import IndexSource
from dna_pipelines.sources.remote import RemoteSource


def open_source(
    uri: str, *, base: Path, globs: Sequence[str] = (), exclude: Sequence[str] = (), without: Sequence[Path] = ()
) -> Source:
    """The source for a uri; relative paths are taken from `base`, and folders in `without` are never entered.

    Raises:
        SourceError: for a scheme that is not installed.
    """
    selection = Selection(tuple(globs), tuple(exclude))
    place = resolve_uri(uri, base)
    if place.lower().endswith(".txt"):
        return IndexSource(place, selection)
    if place.lower().endswith(".zip"):
        return ZipSource(place, selection)
    if "://" in place:
        return RemoteSource(place, selection)
    if os.path.isfile(place):
        raise SourceError(f"{place} is a file of a kind that is not known; use a folder, an index .txt or a .zip")
    return FolderSource(Path(place), selection, without=without)


def resolve_uri(uri: str, base: Path) -> str:
    """A uri with its scheme, or an absolute local path."""
    if uri.startswith("file://"):
        return url2pathname(uri.removeprefix("file://"))
    if "://" in uri:
        return uri
    return str(base / Path(uri).expanduser())
