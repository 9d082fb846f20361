"""Layouts of TIFF that Pillow gives no or wrong pixels for, decoded by tifffile and imagecodecs (extra `tiff`)."""

from __future__ import annotations

import io
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.levels import levels, over_white
from dna_pipelines.imaging.tiff import BLACK_IS_ZERO, RGB, SENSOR, SEPARATED, WHITE_IS_ZERO, check_tiles, not_read

_ORIENTATION, _PLANAR = 274, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        pixels: RGB of shape (height, width, 3).
        orientation: as in EXIF, 1 to 8.
        layout: its interpretation, samples and type, in words.
        assumed: what the file leaves open, and how it was read; see `ImageInfo`.
    """

    pixels: NDArray[np.uint8]
    orientation: int
    layout: str
    assumed: str


def decode_rare_tiff(data: bytes, most_pixels: int) -> Decoded | None:
    """The first page of a TIFF; None where tifffile is not installed.

    Raises:
        Unreadable: `unsupported` for a layout without a rule, `too large` for more pixels than `most_pixels`.
    """
    try:
        import tifffile
    except ImportError:
        return None
    # What it logs of damaged files is in the quarantine.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        size, tile = (page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength)
        if page.photometric in SENSOR:
            raise Unreadable("unsupported", "a camera raw file; develop it", format="raw")
        if math.prod(size) > most_pixels:
            raise Unreadable("too large", f"{size[0]} x {size[1]} pixels", size_px=list(size), limit=most_pixels)
        check_tiles(size, tile)
        pixels, of_values = _rgb(page)
        assumed = [*not_read(page.photometric, page.samplesperpixel, data), of_values]
        orientation = page.tags.get(_ORIENTATION)
        return Decoded(pixels, orientation.value if orientation else 1, _layout(page), "; ".join(filter(None, assumed)))


def _rgb(page: Any) -> tuple[NDArray[np.uint8], str]:
    n_colours, kind = _COLOURS.get(page.photometric, 0), page.dtype.kind if page.dtype else ""
    if not n_colours or page.samplesperpixel < n_colours or kind not in ("uif" if n_colours == 1 else "uf"):
        raise Unreadable(
            "unsupported", f"a TIFF of a layout without a rule ({_layout(page)}); convert it", format="TIFF"
        )
    try:
        values = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise Unreadable(
            "unsupported", f"{error}: install dna_pipelines[tiff], or convert it", format="TIFF"
        ) from error
    if page.samplesperpixel == 1:
        planes = values[None]
    else:
        planes = values if page.planarconfig == _PLANAR else np.moveaxis(values, -1, 0)
    colours, assumed = _levels(planes[:n_colours], page)
    if page.photometric == WHITE_IS_ZERO:
        colours = 255 - colours
    if n_colours == 4:
        inks = Image.fromarray(np.ascontiguousarray(colours.transpose(1, 2, 0)), "CMYK")
        return np.asarray(inks.convert("RGB")), assumed
    rgb = np.repeat(colours, 3, axis=0) if n_colours == 1 else colours
    extra = tuple(page.extrasamples)
    for index, kind in enumerate(extra[: len(planes) - n_colours]):
        if kind in (_ASSOCIATED, _UNASSOCIATED):
            alpha, _ = _levels(planes[n_colours + index][None], page)
            rgb = over_white(rgb, alpha, is_associated=kind == _ASSOCIATED)
    return np.ascontiguousarray(rgb.transpose(1, 2, 0)), assumed


def _levels(planes: NDArray[Any], page: Any) -> tuple[NDArray[np.uint8], str]:
    # As Pillow opens them: the upper byte of colours, and of whatever has alpha.
    if page.samplesperpixel > 1 and planes.dtype == np.uint16 and page.bitspersample == 16:
        return (planes >> 8).astype(np.uint8), ""
    return levels(planes, page.bitspersample)


def _layout(page: Any) -> str:
    return f"{page.photometric.name.lower()}, {page.samplesperpixel} samples of {page.dtype}"
