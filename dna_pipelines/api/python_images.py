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

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.project.progress import counted
from dna_pipelines.sources.base import IMAGE_SUFFIXES

_CHANNELS = (1, 3, 4)
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_QUICK = 1
"""Of zlib's levels: ten times as fast as the best, for files a few per cent larger."""

ACCEPTED = (
    "paths, bytes, PIL images, uint8 arrays (H, W) or (H, W, C) with 1, 3 or 4 channels, or tensors (C, H, W) of uint8 "
    "or of floats in [0, 1]"
)


@dataclass(frozen=True)
class PythonImage:
    """One item of a collection.

    Attributes:
        name: what it is called: its index, or its path where it has one.
        data: the encoded image; None where it cannot be had.
        problem: why not.
        metadata: what the collection says of it.
    """

    name: str
    data: bytes | None
    problem: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


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
            image (`api.image-values`), a column is missing (`api.image-column`) or has another length (`api.length`).
    """
    columns = {name: _values(values) for name, values in (metadata or {}).items()}
    n_items = 0
    for index, item in enumerate(_items(images, image_column)):
        n_items += 1
        given = {
            name: str(values[index])
            for name, values in columns.items()
            if index < len(values) and values[index] is not None
        }
        yield PythonImage(item.name, item.data, item.problem, {**item.metadata, **given})
    for name, values in columns.items():
        if len(values) != n_items:
            raise UserError(
                f"'{name}' has {counted(len(values), 'value')} for {counted(n_items, 'image')}; give one for each",
                code="api.length",
                column=name,
                n_values=len(values),
                n_images=n_items,
            )


def _items(images: Any, image_column: str | None) -> Iterator[PythonImage]:
    if hasattr(images, "features") and hasattr(images, "cast_column"):
        return _hugging_face(images, image_column)
    if isinstance(images, np.ndarray):
        # One image (H, W, C) is not taken for H grey images of C columns.
        if images.ndim != 4 and not (images.ndim == 3 and images.shape[2] > max(_CHANNELS)):
            raise UserError(
                f"an array of shape {images.shape} is no collection of images; give (N, H, W) of grey images, "
                "(N, H, W, C), or a list of arrays, also for a single image",
                code="api.image-type",
                shape=list(images.shape),
            )
        return (_image(index, array) for index, array in enumerate(images))
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
        return _image(index, item)
    label: Any = item[1] if len(item) > 1 else None
    if hasattr(label, "item") and not getattr(label, "shape", ()):  # a number of numpy or torch
        label = label.item()
    plain = isinstance(label, str | int) and not isinstance(label, bool)
    return _image(index, item[0], {"label": str(label)} if plain else {})


def _image(index: int, item: Any, metadata: Mapping[str, str] | None = None) -> PythonImage:
    """One item of a known kind.

    Raises:
        UserError: when it is no image.
    """
    described = metadata or {}
    if isinstance(item, bytes):
        return PythonImage(str(index), item, None, described)
    if isinstance(item, str | Path):
        return _file(item, described)
    if isinstance(item, Image.Image):
        return _pil(index, item, described)
    if isinstance(item, np.ndarray):
        return PythonImage(str(index), _png(Image.fromarray(_pixels(index, item))), None, described)
    if type(item).__module__.partition(".")[0] == "torch" and hasattr(item, "detach"):
        return PythonImage(
            str(index), _png(Image.fromarray(_pixels(index, _from_tensor(index, item)))), None, described
        )
    raise UserError(
        f"item {index} is a {type(item).__name__}, which is no image; accepted are {ACCEPTED}",
        code="api.image-type",
        index=index,
        type=type(item).__name__,
    )


def _file(path: str | Path, metadata: Mapping[str, str]) -> PythonImage:
    try:
        return PythonImage(str(path), Path(path).expanduser().read_bytes(), None, metadata)
    except OSError as error:
        return PythonImage(str(path), None, str(error.strerror or error), metadata)


def _pil(index: int, image: Image.Image, metadata: Mapping[str, str]) -> PythonImage:
    try:
        image.load()
        return PythonImage(str(index), _png(image), None, metadata)
    # Decoders refuse damaged files with whatever exception they come to.
    except Exception as error:  # noqa: BLE001
        return PythonImage(str(index), None, f"{type(error).__name__}: {error}", metadata)


def _png(image: Image.Image) -> bytes:
    """Without loss: as PNG, or as TIFF where PNG has no such mode. Its orientation is kept."""
    buffer = io.BytesIO()
    if image.mode in _PNG_MODES:
        image.save(buffer, "png", compress_level=_QUICK, exif=image.getexif())
    else:
        image.save(buffer, "tiff")
    return buffer.getvalue()


def _pixels(index: int, array: Any) -> Any:
    """(H, W) or (H, W, 3 or 4) uint8.

    Raises:
        UserError: for another shape or type.
    """
    if array.dtype != np.uint8:
        raise UserError(
            f"item {index} has values of type {array.dtype}; an array of pixels is uint8 (0 to 255), such as "
            "(255 * x).round().astype('uint8') for x in [0, 1]",
            code="api.image-values",
            index=index,
            dtype=str(array.dtype),
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS)):
        raise UserError(
            f"item {index} has shape {array.shape}; an array is (H, W) or (H, W, C) with 1, 3 or 4 channels",
            code="api.image-type",
            index=index,
            shape=list(array.shape),
        )
    return np.ascontiguousarray(array)


def _from_tensor(index: int, tensor: Any) -> Any:
    """(H, W, C) uint8 of a tensor (C, H, W).

    Raises:
        UserError: for another shape, type or values.
    """
    array = tensor.detach().cpu().float().numpy() if tensor.is_floating_point() else tensor.detach().cpu().numpy()
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in _CHANNELS:
        raise UserError(
            f"item {index} is a tensor of shape {tuple(array.shape)}; tensors are (C, H, W) with 1, 3 or 4 channels",
            code="api.image-type",
            index=index,
            shape=list(array.shape),
        )
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise UserError(
                f"item {index} is a tensor of floats outside [0, 1]; leave out Normalize, the network's own "
                "preprocessing normalizes",
                code="api.image-values",
                index=index,
                dtype=str(array.dtype),
            )
        array = np.round(array * 255).astype(np.uint8)
    return array.transpose(1, 2, 0)


def _values(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _hugging_face(dataset: Any, image_column: str | None) -> Iterator[PythonImage]:
    column = _image_column(dataset, image_column)
    feature = dataset.features[column]
    names = {name: getattr(one, "names", None) for name, one in dataset.features.items() if name != column}
    undecoded = dataset.cast_column(column, type(feature)(decode=False))
    for index, row in enumerate(undecoded):
        image, metadata = row[column], _plain(row, names)
        if image is None:
            yield PythonImage(str(index), None, "the dataset has no image here", metadata)
        elif image.get("bytes"):
            yield PythonImage(str(index), image["bytes"], None, metadata)
        elif image.get("path"):
            yield _file(image["path"], metadata)
        else:
            yield PythonImage(str(index), None, "the dataset has neither bytes nor a path here", metadata)


def _image_column(dataset: Any, asked: str | None) -> str:
    features: Mapping[str, Any] = dataset.features or {}
    known: list[str] = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if asked is not None and asked in known:
        return asked
    if asked is None and len(known) == 1:
        return known[0]
    wanted = f"'{asked}' is no column of images" if asked else f"it has {len(known)} columns of images"
    raise UserError(
        f"{wanted}; image_column names one of: {', '.join(known) or 'none'}",
        code="api.image-column",
        column=asked,
        known=known,
    )


def _plain(row: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of the plain values of a row; classes by their names."""
    metadata = {}
    for name, classes in names.items():
        value = row[name]
        if classes and isinstance(value, int) and 0 <= value < len(classes):
            value = classes[value]
        if isinstance(value, str | int | float):
            metadata[name] = str(value)
    return metadata
