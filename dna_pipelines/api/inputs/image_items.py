"""One image as a Python object: an encoded file, a path, an array, a tensor or a PIL image, as the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dna_pipelines.errors import UserError

CHANNELS = (1, 3, 4)
"""Numbers of channels that an image may have: grey, RGB or RGBA."""

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


def image_item(index: int, item: Any, metadata: Mapping[str, str] | None = None) -> PythonImage:
    """One item of a known kind.

    Raises:
        UserError: when it is no image.
    """
    described = metadata or {}
    if isinstance(item, bytes):
        return PythonImage(str(index), item, None, described)
    if isinstance(item, str | Path):
        return file_item(item, described)
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


def file_item(path: str | Path, metadata: Mapping[str, str]) -> PythonImage:
    """One item that is the path of a file."""
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
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS)):
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
    if array.ndim != 3 or array.shape[0] not in CHANNELS:
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
