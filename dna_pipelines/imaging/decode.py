"""Decoding: every image becomes 8-bit RGB by stated rules, or is refused with a reason.

EXIF orientation is applied; animations and files of several pages give their first frame; colour profiles are
ignored. `colour` converts other modes to RGB. The size in the header is checked before any pixel is decoded, and a
truncated file is refused rather than padded with grey. `docs/decoding.md` lists the rules in a table.
"""

from __future__ import annotations

import io
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.colour import to_rgb
from dna_pipelines.imaging.jpeg import decode_jpeg
from dna_pipelines.imaging.jpeg2000 import check_jpeg2000
from dna_pipelines.imaging.png import check_png
from dna_pipelines.imaging.rare_tiff import decode_rare_tiff
from dna_pipelines.imaging.signatures import why_not_identified
from dna_pipelines.imaging.tiff import check_tiff, is_header_of_tiff, not_read, widen_palette

MAX_PIXELS = 178_956_970
"""The largest image that is decoded (Pillow's own limit, 2 x 89.5 megapixels)."""

LARGE_PIXELS = 2**25
"""Larger images are decoded one at a time: several threads at once could take ten gigabytes."""

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""The formats that are decoded. Pillow knows more, and would start Ghostscript for PostScript whatever its name."""

_ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
"""The formats whose further frames are images like the first; those of a phone's JPEG (MPO) are depths and previews."""

_one_large = threading.Lock()

_REASONS = {
    "truncated": "truncated",
    "too large": "too large",
    "too much memory": "too large",
    "unsupported": "unsupported",
    "not supported": "unsupported",
}
"""The reason by a part of Pillow's message; the reason of any other message is `corrupt`."""

# The quarantine covers what Pillow warns of. The filter is set once per process, because filters that several threads
# set and reset end up in the wrong state.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The properties of a readable image in the manifest.

    Width and height are in pixels as stored, before EXIF orientation (in a TIFF file, after it: Pillow applies it).
    """

    width_px: int
    height_px: int
    format: str
    mode: str
    assumed: str = ""
    """What the file leaves open, and how it was read: the first of several pages, the scale of deep values; "" for
    nothing."""


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode to an RGB array of shape (height, width, 3).

    Raises:
        Unreadable: with the reason for the quarantine.
    """
    return decode_with_info(data)[0]


def decode_with_info(data: bytes) -> tuple[NDArray[np.uint8], ImageInfo]:
    """Like `decode`, and the properties in the header."""
    if not data:
        raise Unreadable("empty", "the file has no bytes")
    try:
        return _opened(data)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise why_not_identified(data) from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error)) from error
    except MemoryError as error:
        raise Unreadable("too large", "not enough memory to decode it") from error
    # Decoders raise any exception for damaged files, and one file must not end a run.
    except Exception as error:
        message = str(error).lower()
        reason = next((reason for part, reason in _REASONS.items() if part in message), "corrupt")
        raise Unreadable(reason, f"{type(error).__name__}: {error}", error=type(error).__name__) from error


def _opened(data: bytes) -> tuple[NDArray[np.uint8], ImageInfo]:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if is_header_of_tiff(data) and (decoded := _rare_tiff(data)):
            return decoded
        raise
    assumed: list[str] = []
    with image:
        _check_size(image)
        if image.format == "PNG":
            check_png(data)
        if image.format == "JPEG2000":
            check_jpeg2000(data)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            layout = check_tiff(image, data)
            if not layout.is_decoded_by_pillow:
                if decoded := _rare_tiff(data):
                    return decoded
                raise Unreadable(
                    "unsupported", f"a TIFF of {layout}: install dna_pipelines[tiff], or convert it", format="TIFF"
                )
            widen_palette(image)
            assumed += not_read(layout.photometric, len(layout.bits), data)
        elif image.format in _ANIMATED and getattr(image, "is_animated", False):
            assumed.append("the first of several frames")
        size, mode = image.size, image.mode
        with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
            pixels = decode_jpeg(data, image)
            if pixels is None:
                image.load()
                pixels, of_values = to_rgb(image, data)
                assumed.append(of_values)
            info = ImageInfo(*size, image.format or "?", mode, "; ".join(filter(None, assumed)))
            return _upright(pixels, _orientation(image)), info


def _rare_tiff(data: bytes) -> tuple[NDArray[np.uint8], ImageInfo] | None:
    decoded = decode_rare_tiff(data, MAX_PIXELS)
    if decoded is None:
        return None
    pixels = _upright(decoded.pixels, decoded.orientation)
    height, width = pixels.shape[:2]
    return pixels, ImageInfo(width, height, "TIFF", decoded.layout, decoded.assumed)


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels == 0:
        raise Unreadable("empty", f"the header says {image.width} x {image.height} pixels", size_px=list(image.size))
    if pixels > MAX_PIXELS:
        raise Unreadable(
            "too large",
            f"{image.width} x {image.height} pixels, the limit is {MAX_PIXELS}",
            size_px=list(image.size),
            limit=MAX_PIXELS,
        )


def _orientation(image: Image.Image) -> int:
    """The orientation in EXIF, 1 to 8; 1 (upright) where it has no valid one.

    Metadata that cannot be read do not affect the pixels.
    """
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (Pillow's parser fails in many ways)
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # The rest are mirrors: of top and bottom, of left and right, or both.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
