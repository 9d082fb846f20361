"""From a dataset's uri to the source that can read it. The suffix says what it is, unless `kind` does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.request import url2pathname

from dna_pipelines.config.models import SUFFIXES, Kind, kind_of_suffix
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.archive import ZipSource
from dna_pipelines.sources.base import Selection, Source
from dna_pipelines.sources.contents import ContentsCache
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines.sources.index import IndexSource
from dna_pipelines.sources.remote import Options, RemoteSource
from dna_pipelines.sources.rows import RowSource
from dna_pipelines.sources.tar import TarSource

_WEB = {"http", "https"}
_SLASHES = re.compile(r"(?<!:)/{2,}")


def open_source(
    uri: str,
    *,
    base: Path,
    globs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    without: Sequence[Path] = (),
    kind: Kind | None = None,
    options: Options | None = None,
    image_column: str | None = None,
    cache: ContentsCache | None = None,
) -> Source:
    """The source for a uri.

    Args:
        uri: the place; relative paths are taken from `base`.
        base: see `uri`.
        globs, exclude: which files belong to the dataset.
        without: folders that are never entered.
        kind: what the uri is, where its suffix does not tell.
        options: what the file system needs.
        image_column: of a table.
        cache: keeps what archives and tables hold.

    Raises:
        SourceError: for a scheme that is not installed.
    """
    selection = Selection(tuple(globs), tuple(exclude))
    place = resolve_uri(uri, base)
    # In the names of the folders that the project lies in, nothing is a pattern.
    literal = f"{base}/" if _is_relative(uri) else ""
    source: Source
    # A folder may well be called `photos.zip`; a folder of archives has to be asked for.
    match kind or ("folder" if os.path.isdir(place) else kind_of_suffix(place)):
        case "index":
            source = IndexSource(place, selection, options)
        case "zip":
            source = ZipSource(place, selection, options)
        case "tar":
            source = TarSource(place, selection, options, cache, literal)
        case "parquet":
            source = RowSource(place, selection, SUFFIXES["parquet"], options, cache, image_column, literal)
        case "arrow":
            source = RowSource(place, selection, SUFFIXES["arrow"], options, cache, image_column, literal)
        case "folder" if "://" in place:
            source = RemoteSource(place, selection, options)
        case "folder":
            if os.path.isfile(place):
                known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
                raise SourceError(
                    f"{place} is a file of a kind that is not known; use a folder or one of {known}, or say its `kind`"
                )
            source = FolderSource(Path(place), selection, without=without)
    return source


def resolve_uri(uri: str, base: Path) -> str:
    """A uri with its scheme, or an absolute local path."""
    if uri.startswith("file://"):
        return url2pathname(uri.removeprefix("file://"))
    if "://" in uri:
        scheme, _, place = uri.partition("://")
        # Stores list the same objects below two slashes and below one, and read those below one.
        return uri if scheme in _WEB else f"{scheme}://{_SLASHES.sub('/', place)}"
    return str(base / Path(uri).expanduser())


def _is_relative(uri: str) -> bool:
    return "://" not in uri and not Path(uri).expanduser().is_absolute()
