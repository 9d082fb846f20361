"""JPEG through libjpeg-turbo itself: the same pixels as Pillow's, sooner, and its warnings are heard.

Pillow decodes with the same library, but swallows its warnings: data that end too early and are closed
with an end marker come out padded with grey. JPEG has no checksums, so these warnings are all there is.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable

MAX_SCANS = 500
"""Scans of a progressive JPEG: each goes over the whole image, so thousands of them would take hours."""

_COLORSPACES = {"L": "RGB", "RGB": "RGB", "CMYK": "CMYK"}
_START_OF_SCAN = b"\xff\xda"
_PIXELS_LOST = {
    "premature end of data segment": "truncated",
    "bad huffman code": "corrupt",
    "bad arithmetic code": "corrupt",
    "instead of rst": "corrupt",
}
"""Parts of the warnings that mean that pixels are made up, and the reason they become.

The others (bytes left over before a marker, an unknown revision) come with many sound photographs.
"""


def decode_jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """RGB of shape (height, width, 3); None for what is left to Pillow: other formats, CMYK, odd files.

    `image` is what Pillow read of the header, its size checked.

    Raises:
        Unreadable: when the data end too early or are damaged.
    """
    colorspace = _COLORSPACES.get(image.mode)
    # A phone's file of several pictures is a JPEG with more behind it.
    if image.format not in ("JPEG", "MPO") or colorspace is None:
        return None
    if image.info.get("progressive") and (n_scans := data.count(_START_OF_SCAN)) > MAX_SCANS:
        raise Unreadable("too large", f"a progressive JPEG of {n_scans} scans, the limit is {MAX_SCANS}")
    try:
        # libjpeg's own reading of the header comes first: two headers in one file must not outwit the size check.
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != image.size:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace)
    except ValueError as error:
        said = str(error)
        reason = next((reason for part, reason in _PIXELS_LOST.items() if part in said.lower()), None)
        if reason:
            raise Unreadable(reason, f"libjpeg-turbo: {said}") from error
        return None
    return pixels if colorspace == "RGB" else None
