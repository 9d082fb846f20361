"""The samples of an image as its file stores them: what a declared reading applies to.

Pillow opens colour of 16 bits with the upper byte of each value, and scales grey of 9 to 15 bits. So the values of such
files are taken from imagecodecs, or scaled back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.colour import DEEP, depth_of_png, has_alpha, require_rule, scale_transparent_colour

_PNG_COLOUR_TYPE_OFFSET = 25
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _WHITE_IS_ZERO = 258, 262, 339, 0
_SIZE_MARKER = b"\xff\x51"
_PRECISION_OFFSET = 40
"""From the SIZ marker of a JPEG 2000 codestream to the precision of its first component (ISO/IEC 15444-1, A.5.1)."""
_NETPBM = re.compile(rb"P([2536])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one image.

    Attributes:
        planes: (bands, height, width), in the type they are stored in.
        bits: of whole numbers, in how many a sample is stored.
        n_colours: 1 or 3: how many of the first bands are grey or red, green and blue.
        alpha: (height, width), of the same type as the planes or of 8 bits; None for none.
        is_associated: whether the colours are multiplied by alpha.
        is_white_zero: whether the smallest value is white.
    """

    planes: NDArray[Any]
    bits: int
    n_colours: int
    alpha: NDArray[Any] | None = None
    is_associated: bool = False
    is_white_zero: bool = False


def samples_of(image: Image.Image, data: bytes) -> Samples:
    """The samples of a loaded image of a format other than JPEG.

    Palettes, inks and luminance are converted to the colours that they stand for. A TIFF must have a layout whose
    samples Pillow gives (`Layout.has_all_samples`).

    Args:
        image: see above.
        data: its file.

    Raises:
        Unreadable: `unsupported` for values that no installed decoder gives.
    """
    if image.mode in DEEP:
        return _grey(image, data)
    if (deep := _deep_colour(image, data)) is not None:
        return deep
    return _of_8_bits(image, data)


def _grey(image: Image.Image, data: bytes) -> Samples:
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    if bits == 32 and image.mode == "I" and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        # Pillow's integers are signed, even where those of the file are not.
        values = values.view(np.uint32)
    if image.format == "JPEG2000" and (precision := _precision(data)) < 16:
        values, bits = values >> (16 - precision), precision
    if image.format == "PPM" and image.mode != "F" and (maximum := _netpbm(data)[2]) != 65535:
        values, bits = np.rint(values * (maximum / 65535)).astype(np.uint16), maximum.bit_length()
    transparent, alpha = image.info.get("transparency"), None
    if isinstance(transparent, int):
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    return Samples(values[None], bits, 1, alpha, is_white_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _deep_colour(image: Image.Image, data: bytes) -> Samples | None:
    """Colour, or grey with alpha, of more than 8 bits; None for other images."""
    if image.format == "PNG" and depth_of_png(data) == 16:
        values, bits = _imagecodecs().png_decode(data), 16
    elif image.format == "JPEG2000" and (precision := _precision(data)) > 8:
        values, bits = _imagecodecs().jpeg2k_decode(data), precision
    elif image.format == "PPM" and (netpbm := _netpbm(data))[2] > 255:
        offset, size, maximum = netpbm
        if data[1:2] != b"6":
            raise _no_values("text of more than 8 bits")
        width, height = size
        values = np.frombuffer(data, ">u2", width * height * 3, offset).reshape(height, width, 3).astype(np.uint16)
        bits = maximum.bit_length()
    else:
        return None
    planes = np.moveaxis(np.atleast_3d(values), -1, 0)
    n_colours = 1 if len(planes) < 3 else 3
    alpha = planes[n_colours] if len(planes) > n_colours else None
    transparent = image.info.get("transparency")
    if alpha is None and isinstance(transparent, tuple):
        alpha = 255 * np.any(planes != np.reshape(transparent, (3, 1, 1)), axis=0).astype(np.uint8)
    return Samples(planes, bits, n_colours, alpha)


def _of_8_bits(image: Image.Image, data: bytes) -> Samples:
    is_layered = image.has_transparency_data and not (image.format == "TGA" and not has_alpha(data))
    if image.mode not in ("L", "LA", "RGB", "RGBA", "RGBX") or (is_layered and image.mode in ("L", "RGB")):
        if not is_layered:
            require_rule(image)
        scale_transparent_colour(image, data)
        image = image.convert("RGBA" if is_layered else "RGB")
    planes = np.moveaxis(np.atleast_3d(np.asarray(image)), -1, 0)
    n_colours = 1 if image.mode in ("L", "LA") else 3
    return Samples(planes, 8, n_colours, planes[-1] if is_layered else None)


def _precision(data: bytes) -> int:
    start = data.find(_SIZE_MARKER)
    return (data[start + _PRECISION_OFFSET] & 0x7F) + 1


def _netpbm(data: bytes) -> tuple[int, tuple[int, int], int]:
    """The offset of the pixels, width and height, and the largest value."""
    if not (header := _NETPBM.match(data)):
        raise _no_values("Netpbm")
    width, height, maximum = map(int, header.groups()[1:])
    return header.end(), (width, height), maximum


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise _no_values("more than 8 bits in colour, for which dna_pipelines[tiff] is needed") from error
    return imagecodecs


def _no_values(what: str) -> Unreadable:
    return Unreadable("unsupported", f"its values cannot be read as declared: {what}; convert it")
