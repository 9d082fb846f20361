"""A collection of images in memory: read once to know its digests, and read again by digest."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from dna_pipelines.api.arguments import READING, values
from dna_pipelines.api.inputs.adding import GROUP
from dna_pipelines.api.inputs.python_images import collection_of, is_location, none_given, paths_of, python_images
from dna_pipelines.api.results.tables import Table
from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import ConfigError, SourceChanged, SourceError, UserError
from dna_pipelines.identity import Item
from dna_pipelines.imaging import Encoded, Reading, encoded
from dna_pipelines.manifests import ReadImage, build_manifest, scan_source, with_folder_tables
from dna_pipelines.manifests.manifest import digest_of_image
from dna_pipelines.project.progress import Progress, counted
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
        read: the encoded image of a digest. Pickled, it reads its location again; images in memory are pickled.
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
    progress: Progress,
    label: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    groups: Sequence[object] | None = None,
    image_column: str | None = None,
) -> Collection:
    """Read every image once.

    Args:
        images: a location, or objects; see `python_images`.
        progress: shows the images being read.
        label: by default the end of the location, or the number of images.
        settings: of a location: globs, exclude, kind, limit, every, group_by; of any images, how they are read.
        groups: of objects, the group of each.
        image_column: of a table or a Hugging Face Dataset.

    Raises:
        NothingToCompare: when the collection is empty (`api.no-images-given`).
        SourceError: when a location cannot be listed.
        ConfigError: when a setting is wrong.
        UserError: when objects are no images.
    """
    if is_location(images) and not label:
        label = str(images).rstrip("/").rpartition("/")[2]
    images = collection_of(images, kind=settings.get("kind"))
    if is_location(images) or (paths := paths_of(images)) is not None:
        if groups is not None:
            raise UserError(
                "groups are for images given as objects; of files, group_by says what belongs together",
                code="api.groups",
            )
        config = _config({"uri": str(images) if is_location(images) else "index.txt", **settings}, image_column)
        if is_location(images):
            return _scanned(_open(config, Path.cwd()), config, label or "", progress, base=Path.cwd())
        with tempfile.TemporaryDirectory(prefix="dna_pipelines-") as folder:
            listing = Path(folder) / config.uri
            listing.write_bytes("".join(f"{path}\n" for path in paths or ()).encode("utf-8", "surrogateescape"))
            base, copies = Path(folder), Counter(map(os.fsencode, paths or ()))
            return _scanned(_open(config, base), config, label or "", progress, base=base, copies=copies)
    declared = {key: value for key, value in settings.items() if key in READING}
    if others := sorted(settings.keys() - declared.keys()):
        raise UserError(
            f"{', '.join(others)}: only files and other locations have that; choose among objects yourself",
            code="api.settings",
            settings=others,
        )
    grouped = {GROUP: values("groups", groups)} if groups is not None else {}
    entries, data = [], {}
    for index, item in enumerate(python_images(images, image_column=image_column, metadata=grouped)):
        # Indices in the order of the collection, because listings are sorted.
        path = b"%09d" % index
        entries.append(Entry(path, len(item.data or b""), str(index), None, item.problem, item.metadata))
        data[path] = item.data or b""
    if not entries:
        raise none_given()
    group_by = {"group_by": f"column:{GROUP}", "kind": "parquet"} if grouped else {}
    return _scanned(
        _Held(entries, data), _config({"uri": "objects", **declared, **group_by}, None), label or "", progress
    )


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


def _scanned(
    source: Source,
    config: DatasetConfig,
    label: str,
    progress: Progress,
    *,
    base: Path | None = None,
    copies: Mapping[bytes, int] | None = None,
) -> Collection:
    """Read every image of a source.

    Args:
        source: it.
        config: its settings.
        label: see `collect`.
        progress: see `collect`.
        base: the folder that its location is relative to; None for images in memory.
        copies: how often a list of paths names each, because the index file that it becomes has each once.
    """
    scan = with_folder_tables(scan_source(source, config, lambda: None, 0), source, config)
    with progress.task("reading images", len(scan.entries)) as advance:
        manifest = build_manifest(scan, source, config, on_progress=lambda *_: advance(1))
    readable = [row for row in manifest.readable for _ in range((copies or {}).get(row.file, 1))]
    quarantined = tuple((row.name, row.reason, row.detail) for row in manifest.quarantined)
    images = {row.digest: (row.file, row.name, row.read_as) for row in manifest.readable if row.digest}
    return Collection(
        label or counted(len(readable), "image"),
        tuple(row.item for row in readable),
        tuple(row.name for row in readable),
        Table(("path", "reason", "detail"), quarantined),
        _Reader(source, config, base, images),
    )


@dataclass
class _Reader:
    """Reads an image by its digest.

    Pickled, it keeps images that are in memory, and of a location where it lies: it is opened again when it is read.

    Attributes:
        source: None where a pickled location is not open yet.
        config, base: its settings, and the folder that its location is relative to; None for images in memory.
        images: by digest, the path in the source, what messages call it, and how it is read.
    """

    source: Source | None
    config: DatasetConfig
    base: Path | None
    images: Mapping[str, tuple[bytes, str, Reading]]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "source": None if self.base else self.source}

    def __call__(self, digest: str) -> Encoded:
        path, name, reading = self.images[digest]
        if self.source is None:
            self.source = _open(self.config, self.base or Path.cwd())
        try:
            data = self.source.read(path)
        except OSError as error:
            raise SourceError(f"{name} cannot be read any more: {error}", code="api.changed", path=name) from error
        image = encoded(data, reading)
        if digest_of_image(image) != digest:
            raise SourceChanged(f"{name} changed while it was read", code="api.changed", path=name)
        return image


@dataclass(frozen=True)
class EitherReader:
    """Reads an image of one of two collections."""

    one: ReadImage
    two: ReadImage
    digests_of_one: frozenset[str]

    def __call__(self, digest: str) -> Encoded:
        """The encoded image of a digest."""
        return (self.one if digest in self.digests_of_one else self.two)(digest)
