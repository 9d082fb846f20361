"""Adding a dataset to a project: a location as it is, Python objects as files below `data/`."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from dna_pipelines.api.arguments import values
from dna_pipelines.api.inputs.image_items import PythonImage
from dna_pipelines.api.inputs.python_images import collection_of, is_location, none_given, paths_of, python_images
from dna_pipelines.api.results.datasets import AddResult
from dna_pipelines.api.results.tables import Table
from dna_pipelines.errors import SourceError, UserError
from dna_pipelines.identity import digest_of
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources.base import IMAGE_SUFFIXES
from dna_pipelines.storage.files import replace

INDEXES, IMAGES = Path("data") / "indexes", Path("data") / "images"
"""Where lists of paths and images that were objects are written, below the project's folder."""

PATH, ITEM, GROUP = "path", "item", "group"
"""Columns of the metadata: the file of an image, the index or path it had, and its group."""

_OWN = (PATH, ITEM)
"""A column of the user's that is called like this gets a `_`."""


def add_dataset(
    folder: ProjectFolder,
    name: str,
    images: Any,
    settings: Mapping[str, Any],
    groups: Sequence[object] | None,
    metadata: Mapping[str, Any] | None,
    progress: Progress,
    *,
    force: bool,
) -> AddResult:
    """See `Project.add`.

    Args:
        folder: the project's.
        name: of the dataset.
        images: see `python_images`.
        settings: more of its entry in the datasets file.
        groups: the group of each image, where images are objects.
        metadata: the table of a location; or by column one value for each object.
        progress: shows the images being written.
        force: add a location although it cannot be listed now.
    """
    images = collection_of(images, kind=settings.get("kind"))
    folder.file.create()
    if is_location(images) or (paths := paths_of(images)) is not None:
        if groups is not None:
            raise UserError(
                "groups are for images given as objects; of files, group_by says what belongs together",
                code="api.groups",
            )
        described = {"metadata": _table(metadata, folder.root)} if metadata else {}
        uri = location(str(images), folder.root) if is_location(images) else (INDEXES / f"{name}.txt").as_posix()
        entry = {"name": name, "uri": uri, **settings, **described}
        folder.file.checked(entry)
        if not is_location(images):
            replace(folder.root / uri, "".join(f"{path}\n" for path in paths or ()).encode("utf-8", "surrogateescape"))
        repeated = () if is_location(images) else repeats(paths or ())
        return _added(folder, entry, Table(("item", "problem"), ()), repeated, force=force)
    grouped = {GROUP: values("groups", groups)} if groups is not None else {}
    entry = {
        "name": name,
        "uri": (IMAGES / name).as_posix(),
        "metadata": {"uri": (IMAGES / f"{name}.csv").as_posix(), "path_column": PATH},
        **({"group_by": f"column:{GROUP}"} if grouped else {}),
        **{key: value for key, value in settings.items() if key != "image_column"},
    }
    folder.file.checked(entry)
    items = python_images(images, image_column=settings.get("image_column"), metadata={**(metadata or {}), **grouped})
    return _added(folder, entry, _written(folder, name, items, _length(images), progress), (), force=force)


def location(text: str, root: Path) -> str:
    """A location as the datasets file has it: relative to the project where it lies inside."""
    if "://" in text:
        return text
    path = Path(os.path.abspath(Path(text).expanduser()))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _table(metadata: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A table of metadata as the datasets file has it: its location is given as that of images is."""
    uri = metadata.get("uri")
    return {**metadata, "uri": location(uri, root)} if isinstance(uri, str) else dict(metadata)


def repeats(paths: Sequence[str]) -> tuple[str, ...]:
    """The paths that are listed more than once, in order."""
    return tuple(path for path, times in Counter(paths).items() if times > 1)


def _added(
    folder: ProjectFolder, entry: dict[str, Any], quarantined: Table, repeated: tuple[str, ...], *, force: bool
) -> AddResult:
    dataset = folder.file.checked(entry)
    n_files: int | None = None
    try:
        n_files = len(folder.source(dataset).list().entries)
    except SourceError as error:
        if not force:
            raise SourceError(f"{error}; nothing was added", code=error.code, **error.facts) from error
    folder.file.add(entry)
    return AddResult(str(entry["name"]), str(entry["uri"]), n_files, quarantined, repeated)


def _written(folder: ProjectFolder, name: str, items: Any, n_items: int, progress: Progress) -> Table:
    """Write every image once for each time it occurs, and the table beside them; returns those without bytes.

    What has no bytes becomes an empty file, so that the project quarantines it too.
    """
    root = folder.root / IMAGES / name
    with _kept_if_complete(root):
        return _written_to(root, name, items, n_items, progress)


@contextmanager
def _kept_if_complete(root: Path) -> Iterator[None]:
    """Remove a folder that work made and did not finish; one that was there before stays."""
    existed = root.exists()
    try:
        yield
    except BaseException:
        if not existed:
            shutil.rmtree(root, ignore_errors=True)
        raise


def _written_to(root: Path, name: str, items: Any, n_items: int, progress: Progress) -> Table:
    seen: Counter[str] = Counter()
    rows: list[dict[str, str]] = []
    quarantined = []
    with progress.task(f"writing {name}", n_items) as advance:
        for item in items:
            file = _file_name(item, seen)
            replace(root / file, item.data or b"")
            described_as = {f"{key}_" if key in _OWN else key: value for key, value in item.metadata.items()}
            rows.append({PATH: file, ITEM: item.name, **described_as})
            if item.data is None:
                quarantined.append((item.name, item.problem))
            advance(1)
    if not rows:
        raise none_given()
    columns = list(dict.fromkeys(column for row in rows for column in row)) or [PATH]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    replace(root.with_name(f"{name}.csv"), text.getvalue().encode("utf-8", "surrogateescape"))
    return Table(("item", "problem"), tuple(quarantined))


def _file_name(item: PythonImage, seen: Counter[str]) -> str:
    """By the digest, with a number for copies, and a suffix that the folder's listing takes for an image."""
    stem = digest_of(item.data) if item.data else f"unreadable-{re.sub('[^A-Za-z0-9]+', '-', item.name)[-80:]}"
    seen[stem] += 1
    copy = f"-{seen[stem]}" if seen[stem] > 1 else ""
    return f"{stem}{copy}.{_suffix(item.data or b'')}"


def _suffix(data: bytes) -> str:
    """What the format of an image is called; bytes of no known format are listed too, and quarantined when read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            suffix = (image.format or "").lower()
    # Pillow refuses damaged headers with whatever exception it comes to.
    except Exception:  # noqa: BLE001
        suffix = ""
    return suffix if suffix in IMAGE_SUFFIXES else "png"


def _length(images: Any) -> int:
    try:
        return len(images)
    except TypeError:
        return 0
