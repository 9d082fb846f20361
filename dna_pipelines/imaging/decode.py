"""Decoding: every image becomes 8-bit RGB by stated rules, or is refused with a reason.

Rules: EXIF orientation is applied; animations and multi-page files give their first frame;
16-bit and floating-point grey are scaled, not saturated; transparency is composited on white;
CMYK, palette and other modes are converted by Pillow. The size in the header is checked before a
pixel is decoded, and a truncated file is refused rather than padded with grey.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dna_pipelines.errors import Unreadable

MAX_PIXELS = 178_956_970
"""Largest image that is decoded (Pillow's own bomb limit, 2 x 89.5 megapixels)."""

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""What is decoded. Pillow knows more, and would start Ghostscript for PostScript whatever its name."""

# Pillow warns of odd files; what matters of that is in the quarantine. Once for the process, because filters
# that are set and reset in several threads end up as they should not be.
warnings.filterwarnings("ignore", module=r"PIL\.")

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the manifest says of a readable image. Pixels as stored, before EXIF orientation."""

    width_px: int
    height_px: int
    format: str
    mode: str


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode to an RGB array of shape (height, width, 3).

    Raises:
        Unreadable: with the reason for the quarantine.
    """
    return decode_with_info(data)[0]


def decode_with_info(data: bytes) -> tuple[NDArray[np.uint8], ImageInfo]:
    """Like `decode`, together with what the header says."""
    if not data:
        raise Unreadable("empty", "the file has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            info = ImageInfo(image.width, image.height, image.format or "?", image.mode)
            image.load()
            return np.asarray(_to_rgb(ImageOps.exif_transpose(image))), info
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not an image", f"{len(data)} bytes of no known image format") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error)) from error
    except MemoryError as error:
        raise Unreadable("too large", "not enough memory to decode it") from error
    # The documented and the observed ways in which Pillow's decoders refuse bad input.
    except (
        OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, AttributeError,
        OverflowError, EOFError, RuntimeError, NotImplementedError, ArithmeticError,
        AssertionError, struct.error, zlib.error,
    ) as error:  # fmt: skip
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise Unreadable(reason, f"{type(error).__name__}: {error}") from error


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise Unreadable("empty", f"the header says {image.width} x {image.height} pixels")
    if pixels > MAX_PIXELS:
        raise Unreadable("too large", f"{image.width} x {image.height} pixels, the limit is {MAX_PIXELS}")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT or image.mode in ("I", "F"):
        return Image.fromarray(_scale_to_8_bit(image)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of more than 8 bits: integers by their 16-bit range, floats by [0, 1] or their own range.

    Pillow opens 16-bit PNG as mode I in some versions, so I counts as 16-bit unless it exceeds it.
    """
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise Unreadable("corrupt", "floating-point pixels that are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        low, high = (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    span = high - low if high > low else 1.0
    return np.rint((values - low) * (255.0 / span)).astype(np.uint8)
