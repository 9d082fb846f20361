"""From any mode to 8-bit RGB: deep grey is scaled, transparency is composited on white.

Colour of 16 bits a channel needs no rule here: Pillow opens it with the upper byte of each value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.levels import levels, upper_bytes_in_words

DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_TO_RGB = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
_BITS, _WHITE_IS_ZERO, _SAMPLE_FORMAT = 258, 262, 339
_DESCRIPTOR_OFFSET = 17
_DEPTH_OFFSET = 24
"""The offset of the byte in a PNG file that gives the bits per value."""


def to_rgb(image: Image.Image, data: bytes) -> tuple[NDArray[np.uint8], str]:
    """The pixels of a loaded image, of shape (height, width, 3), and what had to be assumed of their values.

    Args:
        image: see above.
        data: its file.

    Raises:
        Unreadable: for floats that are not finite, and for modes without a rule.
    """
    if image.mode in DEEP:
        grey, assumed = _grey(image)
        return np.repeat(grey[:, :, None], 3, axis=2), assumed
    if image.has_transparency_data and not (image.format == "TGA" and not has_alpha(data)):
        scale_transparent_colour(image, data)
        layered = image.convert("RGBA")
        white = Image.new("RGB", layered.size, (255, 255, 255))
        white.paste(layered, mask=layered.getchannel("A"))
        return np.asarray(white), ""
    require_rule(image)
    rgb = np.asarray(image.convert("RGB"))
    return rgb, upper_bytes_in_words(rgb) if _is_of_16_bits(image, data) else ""


def _is_of_16_bits(image: Image.Image, data: bytes) -> bool:
    if image.format == "PNG":
        return depth_of_png(data) == 16
    return bool(getattr(image, "tag_v2", {}).get(_BITS, (8,))[0] == 16)


def require_rule(image: Image.Image) -> None:
    """Refuse modes that are not converted to RGB.

    Raises:
        Unreadable: `unsupported`.
    """
    if image.mode not in _TO_RGB:
        raise Unreadable(
            "unsupported",
            f"{image.format} of mode {image.mode}, for which there is no rule",
            format=image.format,
            mode=image.mode,
        )


def has_alpha(targa: bytes) -> bool:
    """Whether the fourth byte of a TGA's pixels is alpha: its descriptor gives the number of such bits."""
    return bool(targa[_DESCRIPTOR_OFFSET] & 0x0F)


def depth_of_png(data: bytes) -> int:
    """The bits per value in the header of a PNG."""
    return data[_DEPTH_OFFSET]


def scale_transparent_colour(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a PNG: the file gives it in its own depth, and Pillow compares 8-bit levels."""
    colour = image.info.get("transparency")
    if image.format != "PNG":
        return
    depth = depth_of_png(data)
    if isinstance(colour, int) and image.mode == "L" and depth < 8:
        image.info["transparency"] = colour * 255 // (2**depth - 1)
    elif isinstance(colour, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _grey(image: Image.Image) -> tuple[NDArray[np.uint8], str]:
    """Grey of more than 8 bits as levels (see `levels`), of 16 bits where the file names no depth."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (16,))[0]
    values = np.asarray(image)
    if bits == 32 and image.mode == "I" and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        # Pillow's integers are signed, even where those of the file are not.
        values = values.view(np.uint32)
    grey, assumed = levels(values, bits)
    if tags.get(_WHITE_IS_ZERO) == 0:
        np.subtract(255, grey, out=grey)
    if isinstance(transparent := image.info.get("transparency"), int):
        grey[values == transparent] = 255
    return grey, assumed
