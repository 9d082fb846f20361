"""A collection of images in memory: read once to know its digests, and read again by digest."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dna_pipelines.api.adding import GROUP
from dna_pipelines.api.python_images import is_location, paths_of, python_images
from dna_pipelines.api.tables import Table
from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import ConfigError, SourceChanged, SourceError, UserError
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Manifest, ReadImage, build_manifest, scan_source
from dna_pipelines.project.progress import Progress
from dna_pipelines.sources import Entry, Source, open_source
from dna_pipelines.sources.base import Listing

_ANYTHING = "collection"
"""The name of the dataset that a collection is for the length of a scan."""


@dataclass(frozen=True, eq=False)
class Collection:
    """Readable images, and what could not be read.

    Attributes:
        label: what messages call it.
        items: digests with their groups; copies are several.
        names: their paths or indices, in the same order.
        quarantined: `path`, `reason` and `detail` of every image that cannot be read.
        read: the bytes of a digest.
    """

    label: str
    items: tuple[Item, ...]
    names: tuple[str, ...]
    quarantined: Table
    read: ReadImage


class _Held:
    """A source whose images are in memory."""

    def __init__(self, entries: Sequence[Entry], data: Mapping[bytes, bytes]) -> None:
        self._listing, self._data = Listing(list(entries)), data

    def list(self) -> Listing:
        """All of them."""
        return self._listing

    def read(self, path: bytes) -> bytes:
        """The encoded image of an index."""
        return self._data[path]


def collect(
    images: Any,
    *,
    label: str | None,
    settings: Mapping[str, Any],
    groups: Sequence[object] | None,
    image_column: str | None,
    progress: Progress,
) -> Collection:
    """Read every image once.

    Args:
        images: a location, or objects; see `python_images`.
        label: by default the end of the location, or the number of images.
        settings: of a location: globs, exclude, kind, limit, every, group_by.
        groups: of objects, the group of each.
        image_column: of a table or a Hugging Face Dataset.
        progress: shows the images being read.

    Raises:
        SourceError: when a location cannot be listed.
        ConfigError: when a setting is wrong.
        UserError: when objects are no images.
    """
    if is_location(images) or (paths := paths_of(images)) is not None:
        if groups is not None:
            raise UserError(
                "groups are for images given as objects; of files, group_by says what belongs together",
                code="api.groups",
            )
        config = _config({"uri": str(images) if is_location(images) else "index.txt", **settings}, image_column)
        if is_location(images):
            source, called = _open(config, Path.cwd()), label or str(images).rstrip("/").rpartition("/")[2]
            return _scanned(source, config, called, progress)
        with tempfile.TemporaryDirectory(prefix="dna_pipelines-") as folder:
            listing = Path(folder) / config.uri
            listing.write_bytes("".join(f"{path}\n" for path in paths or ()).encode("utf-8", "surrogateescape"))
            return _scanned(_open(config, Path(folder)), config, label or "", progress)
    if settings:
        raise UserError(
            f"{', '.join(sorted(settings))}: only files and other locations have that; choose among objects yourself",
            code="api.settings",
            settings=sorted(settings),
        )
    grouped = {GROUP: groups} if groups is not None else {}
    entries, data = [], {}
    for index, item in enumerate(python_images(images, image_column=image_column, metadata=grouped)):
        # Indices in the order of the collection, because listings are sorted.
        path = b"%09d" % index
        entries.append(Entry(path, len(item.data or b""), str(index), None, item.problem, item.metadata))
        data[path] = item.data or b""
    group_by = {"group_by": f"column:{GROUP}", "kind": "parquet"} if grouped else {}
    return _scanned(_Held(entries, data), _config({"uri": "objects", **group_by}, None), label or "", progress)


def _config(entry: dict[str, Any], image_column: str | None) -> DatasetConfig:
    more = {"image_column": image_column} if image_column else {}
    try:
        return DatasetConfig.model_validate({"name": _ANYTHING, **entry, **more})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError("; ".join(problems), code="api.settings", settings=sorted(entry)) from error


def _open(config: DatasetConfig, base: Path) -> Source:
    return open_source(
        config.uri,
        base=base,
        globs=config.globs,
        exclude=config.exclude,
        kind=config.kind,
        image_column=config.image_column,
    )


def _scanned(source: Source, config: DatasetConfig, label: str, progress: Progress) -> Collection:
    scan = scan_source(source, config, lambda: None, 0)
    with progress.task("reading images", len(scan.entries)) as advance:
        manifest = build_manifest(scan, source, config, on_progress=lambda *_: advance(1))
    readable = manifest.readable
    quarantined = tuple((row.name, row.reason, row.detail) for row in manifest.quarantined)
    return Collection(
        label or f"{len(readable):,} images",
        tuple(row.item for row in readable),
        tuple(row.name for row in readable),
        Table(("path", "reason", "detail"), quarantined),
        _reader(source, manifest),
    )


def _reader(source: Source, manifest: Manifest) -> ReadImage:
    rows = {row.digest: row for row in manifest.readable}

    def read(digest: str) -> bytes:
        row = rows[digest]
        try:
            data = source.read(row.path)
        except OSError as error:
            raise SourceError(
                f"{row.name} cannot be read any more: {error}", code="api.changed", path=row.name
            ) from error
        if digest_of(data) != digest:
            raise SourceChanged(f"{row.name} changed while it was read", code="api.changed", path=row.name)
        return data

    return read
