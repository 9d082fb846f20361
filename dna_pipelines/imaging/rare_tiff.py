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
from dna_pipelines.imaging.reading import BY_RULES, Reading
from dna_pipelines.imaging.rendering import Rendered, render
from dna_pipelines.imaging.samples import Samples
from dna_pipelines.imaging.tiff import (
    BLACK_IS_ZERO,
    RGB,
    SENSOR,
    SEPARATED,
    WHITE_IS_ZERO,
    bands_not_read,
    check_tiles,
    index_of_page,
)

_ORIENTATION, _PLANAR = 274, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        rendered: its pixels before they are turned upright.
        orientation: as in EXIF, 1 to 8.
        layout: its interpretation, samples and type, in words.
        assumed: what the file leaves open, and how it was read; see `ImageInfo`.
    """

    rendered: Rendered
    orientation: int
    layout: str
    assumed: str


def decode_rare_tiff(data: bytes, most_pixels: int, reading: Reading) -> Decoded | None:
    """One page of a TIFF; None where tifffile is not installed.

    Args:
        data: the file.
        most_pixels: see below.
        reading: which page, and what its values mean.

    Raises:
        Unreadable: `unsupported` for a layout without a rule, `too large` for more pixels than `most_pixels`,
            `not as declared` where the reading cannot apply.
    """
    try:
        import tifffile
    except ImportError:
        return None
    # What it logs of damaged files is in the quarantine.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first if reading.page == 1 else file.pages[index_of_page(data, reading.page)]
        size, tile = (page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength)
        if page.photometric in SENSOR:
            raise Unreadable("unsupported", "a camera raw file; develop it", format="raw")
        if math.prod(size) > most_pixels:
            raise Unreadable("too large", f"{size[0]} x {size[1]} pixels", size_px=list(size), limit=most_pixels)
        check_tiles(size, tile)
        rendered = render(_samples(page), reading)
        assumed = [bands_not_read(page.photometric, page.samplesperpixel, reading), rendered.assumed]
        orientation = page.tags.get(_ORIENTATION)
        return Decoded(
            rendered, orientation.value if orientation else 1, _layout(page), "; ".join(filter(None, assumed))
        )


def _samples(page: Any) -> Samples:
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
    bits = page.bitspersample
    if n_colours == 4:
        planes, n_colours, bits = _printed(Samples(planes, bits, 4)), 3, 8
    extra = tuple(page.extrasamples)[: len(planes) - n_colours]
    alpha = next((index for index, kind in enumerate(extra) if kind in (_ASSOCIATED, _UNASSOCIATED)), None)
    return Samples(
        planes,
        bits,
        n_colours,
        None if alpha is None else planes[n_colours + alpha],
        is_associated=alpha is not None and extra[alpha] == _ASSOCIATED,
        is_white_zero=page.photometric == WHITE_IS_ZERO,
    )


def _printed(inks: Samples) -> NDArray[np.uint8]:
    """Inks, with any further bands left out, as red, green and blue."""
    cmyk = Image.fromarray(render(inks, BY_RULES).pixels, "CMYK")
    return np.moveaxis(np.asarray(cmyk.convert("RGB")), -1, 0)


def _layout(page: Any) -> str:
    return f"{page.photometric.name.lower()}, {page.samplesperpixel} samples of {page.dtype}"
