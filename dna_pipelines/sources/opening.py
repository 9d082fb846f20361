"""From the URI of a dataset to the source that reads it. The suffix tells its kind, unless `kind` is given."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.request import url2pathname

from dna_pipelines.config.dataset import SUFFIXES, Kind, kind_of_suffix
from dna_pipelines.errors import SourceError
from dna_pipelines.sources.base import Selection, Source
from dna_pipelines.sources.file_patterns import is_pattern
from dna_pipelines.sources.folder import FolderSource
from dna_pipelines.sources.guarded import GuardedSource
from dna_pipelines.sources.index import IndexSource
from dna_pipelines.sources.listings_cache import ListingsCache
from dna_pipelines.sources.remote import Options, RemoteSource
from dna_pipelines.sources.table import TableSource
from dna_pipelines.sources.tar import TarSource
from dna_pipelines.sources.zip import ZipSource

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
    cache: ListingsCache | None = None,
) -> Source:
    """The source for a URI.

    Args:
        uri: the location; relative paths start at `base`.
        base: see `uri`.
        globs, exclude: the files that belong to the dataset.
        without: folders that are never entered.
        kind: the kind of the location, where its suffix does not tell.
        options: for the file system.
        image_column: the column of a table that holds the images.
        cache: keeps the listings of archives and tables.

    Raises:
        SourceError: for a scheme that is unknown or not installed, or a file of an unknown kind.
    """
    selection = Selection(tuple(globs), tuple(exclude))
    location = resolve_uri(uri, base)
    literal = _literal(uri, base)
    source: Source
    # A folder may be called `photos.zip`; a folder of archives needs its `kind`.
    match kind or ("folder" if os.path.isdir(location) else kind_of_suffix(location)):
        case "index":
            source = IndexSource(location, selection, options)
        case "zip":
            source = ZipSource(location, selection, options)
        case "tar":
            source = TarSource(location, selection, options, cache, literal)
        case "parquet":
            source = TableSource(location, selection, SUFFIXES["parquet"], options, cache, image_column, literal)
        case "arrow":
            source = TableSource(location, selection, SUFFIXES["arrow"], options, cache, image_column, literal)
        case "folder" if "://" in location:
            source = RemoteSource(location, selection, options)
        case "folder":
            if os.path.isfile(location):
                known = [suffix for suffixes in SUFFIXES.values() for suffix in suffixes]
                raise SourceError(
                    f"{location} is a file of unknown kind; use a folder or one of {', '.join(known)}, or set `kind`",
                    code="source.unknown-kind",
                    uri=location,
                    known=known,
                )
            source = FolderSource(Path(location), selection, without=without)
    return GuardedSource(source, location)


def require_present(uri: str, base: Path) -> None:
    """Refuse a location on this machine that does not exist. Nothing is listed; stores and patterns are not looked at.

    Raises:
        SourceError: (`source.missing`).
    """
    location = resolve_uri(uri, base)
    name = location.removeprefix(_literal(uri, base))
    if "://" in location or "{" in name or is_pattern(name) or os.path.exists(location):
        return
    raise SourceError(f"{location} does not exist", code="source.missing", uri=location)


def resolve_uri(uri: str, base: Path) -> str:
    """A URI with its scheme, or an absolute local path."""
    if uri.startswith("file://"):
        return url2pathname(uri.removeprefix("file://"))
    if "://" in uri:
        scheme, _, path = uri.partition("://")
        # Stores list the same objects below one slash and below two, but read only those below one.
        return uri if scheme in _WEB else f"{scheme}://{_SLASHES.sub('/', path)}"
    return str(base / Path(uri).expanduser())


def _literal(uri: str, base: Path) -> str:
    """The beginning of a location that is no pattern: the names of the folders above the project never are."""
    return f"{base}/" if "://" not in uri and not Path(uri).expanduser().is_absolute() else ""
