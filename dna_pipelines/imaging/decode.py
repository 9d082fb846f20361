"""Decoding: every image becomes 8-bit RGB by stated rules, or is refused with a reason.

EXIF orientation is applied; animations and files of several pages give their first frame; colour profiles are
ignored. `colour` converts other modes to RGB. The size in the header is checked before any pixel is decoded, and a
truncated file is refused rather than padded with grey. `docs/decoding.md` lists the rules in a table.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.colour import has_alpha, to_rgb
from dna_pipelines.imaging.jpeg import decode_jpeg
from dna_pipelines.imaging.jpeg2000 import check_jpeg2000
from dna_pipelines.imaging.pages import count_pages, count_tiff_pages, further_pages, pages_in_words, turn_to
from dna_pipelines.imaging.png import check_png
from dna_pipelines.imaging.rare_tiff import decode_rare_tiff
from dna_pipelines.imaging.reading import Encoded, Reading, split
from dna_pipelines.imaging.rendering import Rendered, render
from dna_pipelines.imaging.samples import Samples, samples_of
from dna_pipelines.imaging.signatures import why_not_identified
from dna_pipelines.imaging.tiff import Layout, bands_not_read, check_tiff, is_header_of_tiff, widen_palette
from dna_pipelines.imaging.webp import show_free_canvas

MAX_PIXELS = 178_956_970
"""The largest image that is decoded (Pillow's own limit, 2 x 89.5 megapixels)."""

LARGE_PIXELS = 2**25
"""Larger images are decoded one at a time: several threads at once could take ten gigabytes."""

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""The formats that are decoded. Pillow knows more, and would start Ghostscript for PostScript whatever its name."""

RULES_OF_LAYOUTS = 2
"""The version of the rules that changed the pixels of some layouts: those for which `ImageInfo.rules` is this."""

_MOST_ZEROS = 64
"""More zeros at the end of a file are remarked on."""

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
    """What the file leaves open, and how it was read, such as the scale of deep values; "" for nothing."""
    further_pages: str = ""
    """The pages or frames beside the one that was read, in words; "" for none."""
    n_clipped: int | None = None
    """Values outside the declared range; None where none is declared."""
    rules: int = 1
    """See `Reading`."""


def decode(image: Encoded) -> NDArray[np.uint8]:
    """Decode to an RGB array of shape (height, width, 3).

    Args:
        image: the bytes of a file, or with them how to read them.

    Raises:
        Unreadable: with the reason for the quarantine.
    """
    return decode_with_info(image)[0]


def decode_with_info(image: Encoded) -> tuple[NDArray[np.uint8], ImageInfo]:
    """Like `decode`, and the properties in the header."""
    data, reading = split(image)
    with _every_error_a_reason(data):
        return _opened(data, reading, is_known=False)


def decode_known(image: Encoded) -> NDArray[np.uint8]:
    """Like `decode` for an image that `decode` accepted before, of which every byte is the same.

    So it repeats no check of what the decoder skips: checksums of PNG, tiles of JPEG 2000, further pages.

    Raises:
        Unreadable: also `other rules` where the image was accepted under rules that gave other pixels.
    """
    data, reading = split(image)
    with _every_error_a_reason(data):
        pixels, info = _opened(data, reading, is_known=True)
    if info.rules != reading.rules:
        raise Unreadable(
            "other rules",
            "the rules of decoding changed since it was scanned; run again",
            rules=info.rules,
            scanned_by=reading.rules,
        )
    return pixels


def n_pages(data: bytes) -> int:
    """How many pages or frames a file has, that `decode_with_info` accepted.

    Raises:
        Unreadable: `too large` for more than a thousand.
    """
    with _every_error_a_reason(data):
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return count_pages(image, data)
        except UnidentifiedImageError:
            if not is_header_of_tiff(data):
                raise
            return count_tiff_pages(data)


@contextmanager
def _every_error_a_reason(data: bytes) -> Iterator[None]:
    if not data:
        raise Unreadable("empty", "the file has no bytes")
    try:
        yield
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


def _opened(data: bytes, reading: Reading, *, is_known: bool) -> tuple[NDArray[np.uint8], ImageInfo]:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if reading.page > 1:
            turn_to(image, data, reading.page)
    # Of a page whose layout it does not know, Pillow says SyntaxError.
    except (UnidentifiedImageError, SyntaxError):
        if is_header_of_tiff(data) and (decoded := _rare_tiff(data, reading)):
            return decoded
        raise
    with image:
        _check_size(image)
        assumed, rules = [], 1
        if not is_known:
            _check_file(image, data)
            assumed.append(_zeros_in_words(image, data))
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            layout = Layout.of(image)
            is_read_by_pillow = layout.has_all_samples if reading.declares_samples else layout.is_decoded_by_pillow
            if not is_read_by_pillow:
                if decoded := _rare_tiff(data, reading):
                    return decoded
                raise Unreadable(
                    "unsupported", f"a TIFF of {layout}: install dna_pipelines[tiff], or convert it", format="TIFF"
                )
            rules = RULES_OF_LAYOUTS if widen_palette(image) else 1
            assumed.append(bands_not_read(layout.photometric, len(layout.bits), reading))
        elif show_free_canvas(image) or (image.format == "TGA" and image.has_transparency_data and not has_alpha(data)):
            rules = RULES_OF_LAYOUTS
        further = "" if is_known else further_pages(image, data)
        size, mode = image.size, image.mode
        with _one_large if image.width * image.height > LARGE_PIXELS else nullcontext():
            rendered = _rendered(image, data, reading)
            info = ImageInfo(
                *size,
                image.format or "?",
                mode,
                "; ".join(filter(None, [*assumed, rendered.assumed])),
                further,
                rendered.n_clipped,
                rules,
            )
            return _upright(rendered.pixels, _orientation(image)), info


def _check_file(image: Image.Image, data: bytes) -> None:
    """Refuse what the decoder does not notice; what it accepts once is not checked again."""
    if image.format == "PNG":
        check_png(data)
    if image.format == "JPEG2000":
        check_jpeg2000(data)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        check_tiff(image, data)


def _zeros_in_words(image: Image.Image, data: bytes) -> str:
    """That zeros may stand in place of a lost tail, which decoders of some formats take for pixels; "" elsewhere.

    A sound WEBP may end with some hundred zeros where the lower part of its image is plain.
    """
    if image.format not in ("AVIF", "WEBP") or data[-_MOST_ZEROS:].strip(b"\0"):
        return ""
    n_zeros = len(data) - len(data.rstrip(b"\0"))
    return f"its last {n_zeros} bytes are zeros, as a full disk or an interrupted copy leaves them"


def _rendered(image: Image.Image, data: bytes, reading: Reading) -> Rendered:
    """The pixels of an opened image before it is turned upright."""
    pixels = decode_jpeg(data, image)
    if pixels is None:
        image.load()
        if not reading.declares_samples:
            return Rendered(*to_rgb(image, data), None)
        return render(samples_of(image, data), reading)
    if not reading.declares_samples:
        return Rendered(pixels, "", None)
    planes = np.moveaxis(pixels if image.mode != "L" else pixels[..., :1], -1, 0)
    return render(Samples(planes, 8, len(planes)), reading)


def _rare_tiff(data: bytes, reading: Reading) -> tuple[NDArray[np.uint8], ImageInfo] | None:
    decoded = decode_rare_tiff(data, MAX_PIXELS, reading)
    if decoded is None:
        return None
    pixels = _upright(decoded.rendered.pixels, decoded.orientation)
    height, width = pixels.shape[:2]
    return pixels, ImageInfo(
        width,
        height,
        "TIFF",
        decoded.layout,
        decoded.assumed,
        pages_in_words(data),
        decoded.rendered.n_clipped,
        RULES_OF_LAYOUTS,
    )


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
