"""Images given as Python objects: lists of paths, arrays, PIL images, Hugging Face and torch Datasets.

| given | what is taken |
|---|---|
| `str`, `Path` | a folder, archive, table, index file, URI or single image file, by its suffix |
| sequence of `str` or `Path` | these files, on this machine or at URIs |
| array (N, H, W) or (N, H, W, C), or sequence of arrays | uint8, (H, W) or (H, W, C) with 1, 3 or 4 \
channels: grey, RGB or RGBA |
| PIL image, or sequence of them | every mode; a JPEG's pixels, not its bytes |
| sequence of `bytes` | encoded files |
| Hugging Face Dataset | its image column, as the encoded bytes it has; other columns of plain values become metadata |
| torch Dataset, or another with `len` and integers | items image or (image, label, …); integer and text labels become \
the metadata `label` |
| tensors, as items | (C, H, W) with 1, 3 or 4 channels, uint8 or float in [0, 1] (times 255, rounded) |

An item that cannot be read or decoded is quarantined with its reason. An object that is no image is an error, because
then the whole collection is not what it was taken for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dna_pipelines.api.arguments import values
from dna_pipelines.api.inputs.hugging_face import hugging_face_items, is_hugging_face
from dna_pipelines.api.inputs.image_items import ACCEPTED, CHANNELS, PythonImage, image_item
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.progress import counted
from dna_pipelines.sources.base import IMAGE_SUFFIXES


def collection_of(images: Any, *, kind: str | None = None) -> Any:
    """Images as given; a single image file or PIL image as a list of one.

    Args:
        images: see the module.
        kind: what a location is, where the user says so.

    Raises:
        NothingToCompare: when the collection is empty (`api.no-images-given`).
    """
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, str | Path):
        suffix = str(images).rpartition(".")[2].lower()
        return [images] if kind is None and suffix in IMAGE_SUFFIXES and not _is_folder(str(images)) else images
    if hasattr(images, "__len__") and not isinstance(images, bytes | Mapping) and len(images) == 0:
        raise none_given()
    return images


def none_given() -> NothingToCompare:
    """The error for a collection without any image."""
    return NothingToCompare("no images were given: the collection is empty", code="api.no-images-given")


def is_location(images: Any) -> bool:
    """Whether images are given as one location, which the sources of the package read."""
    return isinstance(images, str | Path)


def paths_of(images: Any) -> list[str] | None:
    """The paths of a sequence that holds nothing else; None for anything else.

    Raises:
        UserError: for a path that no index file can hold (`api.path`), or a folder (`api.folder-in-list`).
    """
    if not isinstance(images, Sequence) or isinstance(images, bytes) or not images:
        return None
    if not all(isinstance(one, str | Path) for one in images):
        return None
    paths = [one if isinstance(one, str) else str(one) for one in images]
    full = [path if "://" in path else str(Path(path).expanduser().absolute()) for path in paths]
    for path in full:
        if "\n" in path or "\r" in path or path != path.strip():
            raise UserError(
                f"{path!r} cannot be listed: it has line breaks, or blanks at its ends; give its folder instead",
                code="api.path",
                path=path,
            )
        if _is_folder(path):
            raise UserError(
                f"{path} is a folder, and a list of paths holds files; give a folder alone, or list its files",
                code="api.folder-in-list",
                path=path,
            )
    return full


def _is_folder(path: str) -> bool:
    return "://" not in path and Path(path).expanduser().is_dir()


def python_images(
    images: Any, *, image_column: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Iterator[PythonImage]:
    """Every item of a collection, in its order.

    Args:
        images: see the module.
        image_column: of a Hugging Face Dataset.
        metadata: by column, one value for each item; beside what the collection says.

    Raises:
        UserError: when it is no collection, an object is no image (`api.image-type`) or has other values than an
            image (`api.image-values`), a column is missing (`api.image-column`), is no list (`api.argument`) or has
            another length (`api.length`).
    """
    columns = {name: values(name, given) for name, given in (metadata or {}).items()}
    n_items = 0
    for index, item in enumerate(_items(images, image_column)):
        n_items += 1
        described = {
            name: str(column[index])
            for name, column in columns.items()
            if index < len(column) and column[index] is not None
        }
        yield PythonImage(item.name, item.data, item.problem, {**item.metadata, **described})
    for name, column in columns.items():
        if len(column) != n_items:
            raise UserError(
                f"'{name}' has {counted(len(column), 'value')} for {counted(n_items, 'image')}; give one for each",
                code="api.length",
                column=name,
                n_values=len(column),
                n_images=n_items,
            )


def _items(images: Any, image_column: str | None) -> Iterator[PythonImage]:
    if is_hugging_face(images):
        return hugging_face_items(images, image_column)
    if isinstance(images, np.ndarray):
        # One image (H, W, C) is not taken for H grey images of C columns.
        if images.ndim != 4 and not (images.ndim == 3 and images.shape[2] > max(CHANNELS)):
            raise UserError(
                f"an array of shape {images.shape} is no collection of images; give (N, H, W) of grey images, "
                "(N, H, W, C), or a list of arrays, also for a single image",
                code="api.image-type",
                shape=list(images.shape),
            )
        return (image_item(index, array) for index, array in enumerate(images))
    if _is_torch_dataset(images) and hasattr(images, "__iter__") and not hasattr(images, "__len__"):
        return _iterated(images)
    if hasattr(images, "__getitem__") and hasattr(images, "__len__") and not isinstance(images, bytes | Mapping):
        return _indexed(images)
    if isinstance(images, Iterable) and not isinstance(images, bytes | Mapping | Image.Image):
        return _iterated(images)
    raise UserError(
        f"{type(images).__name__} is no collection of images; give a location, a Dataset, or a sequence of {ACCEPTED}",
        code="api.image-type",
        type=type(images).__name__,
    )


def _is_torch_dataset(images: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(images, torch.utils.data.Dataset)


def _indexed(images: Any) -> Iterator[PythonImage]:
    for index in range(len(images)):
        try:
            item = images[index]
        # Any error of the user's own code: this item cannot be had, and the others can.
        except Exception as error:  # noqa: BLE001
            yield PythonImage(str(index), None, f"{type(error).__name__}: {error}")
        else:
            yield _labelled(index, item)


def _iterated(images: Iterable[Any]) -> Iterator[PythonImage]:
    for index, item in enumerate(images):
        yield _labelled(index, item)


def _labelled(index: int, item: Any) -> PythonImage:
    if not isinstance(item, tuple) or not item:
        return image_item(index, item)
    label: Any = item[1] if len(item) > 1 else None
    if hasattr(label, "item") and not getattr(label, "shape", ()):  # a number of numpy or torch
        label = label.item()
    plain = isinstance(label, str | int) and not isinstance(label, bool)
    return image_item(index, item[0], {"label": str(label)} if plain else {})
