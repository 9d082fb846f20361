"""JPEG through libjpeg-turbo itself: the same pixels as Pillow's, faster, and with its warnings.

Pillow decodes with the same library but ignores its warnings: data that end too early and are closed with an end
marker come out padded with grey. JPEG has no checksums, so the warnings are the only sign of damage.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable

MAX_SCANS = 500
"""The most scans of a progressive JPEG: each covers the whole image, so thousands of them would take hours."""

_COLORSPACES = {"L": "RGB", "RGB": "RGB", "CMYK": "CMYK"}
_START_OF_SCAN = b"\xff\xda"
_PIXELS_LOST = {
    "premature end of data segment": "truncated",
    "bad huffman code": "corrupt",
    "bad arithmetic code": "corrupt",
    "instead of rst": "corrupt",
}
"""The reason by a part of the warning, for warnings that mean that pixels are lost.

The others (extra bytes before a marker, an unknown revision) occur with many sound photographs.
"""


def decode_jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """RGB of shape (height, width, 3); None for files that Pillow decodes: other formats, CMYK, unusual files.

    `image` is the opened file, with the size in its header checked.

    Raises:
        Unreadable: when the data end too early or are damaged.
    """
    colorspace = _COLORSPACES.get(image.mode)
    # A phone's file of several pictures (MPO) is a JPEG with more data at its end.
    if image.format not in ("JPEG", "MPO") or colorspace is None:
        return None
    if image.info.get("progressive") and (n_scans := data.count(_START_OF_SCAN)) > MAX_SCANS:
        raise Unreadable(
            "too large", f"a progressive JPEG of {n_scans} scans, the limit is {MAX_SCANS}", n_scans=n_scans
        )
    try:
        # libjpeg reads the header first: two headers in one file must not circumvent the size check.
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != image.size:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace)
    except ValueError as error:
        warning = str(error)
        reason = next((reason for part, reason in _PIXELS_LOST.items() if part in warning.lower()), None)
        if reason:
            raise Unreadable(reason, f"libjpeg-turbo: {warning}", warning=warning) from error
        return None
    return pixels if colorspace == "RGB" else None
