"""JPEG through libjpeg-turbo itself: the same pixels as Pillow's, faster, and with its warnings.

Pillow decodes with the same library but ignores its warnings: data that end too early and are closed with an end
marker come out padded with grey. JPEG has no checksums, so the warnings are the only sign of damage.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import Unreadable

MAX_SCANS = 500
"""The most scans of a progressive JPEG: each covers the whole image, so thousands of them would take hours."""

_COLORSPACES = {"L": "RGB", "RGB": "RGB", "CMYK": "CMYK"}
_START_OF_SCAN = b"\xff\xda"
_END_OF_IMAGE = b"\xff\xd9"
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xda-\xfe])")
"""A marker with a segment; neither a stored 0xFF, nor a restart, nor the start of the image."""
_PROGRESSIVE_FRAME, _SCAN = 0xC2, 0xDA
_MANY = 14
"""More bits than any scan may leave out."""
_NO_END = "premature end of jpeg file"
_ODD_SCAN = "invalid sos parameters"
_TRUNCATED = ("premature end of data segment", _NO_END)
_HARMLESS = re.compile(
    r"unknown jfif revision|unknown adobe color transform|icc profile|invalid sos parameters"
    r"|extraneous bytes before marker 0x(?!d[0-7])"
)
"""The warnings of libjpeg (jerror.h) that occur with many sound photographs, whose pixels are all there.

Surplus bytes before a restart marker are none of these: an encoder leaves some before the end of an image or between
segments of its header, but within the pixel data they are what a damaged code word leaves over.
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
    except ValueError:
        return None
    if (width, height) != image.size:
        return None
    pixels, warning = _decoded(data, colorspace)
    if _NO_END in warning.lower():
        if image.info.get("progressive") and _lacks_scans(data):
            raise Unreadable("truncated", "the last scans of a progressive JPEG are missing")
        # A download or a full disk leaves zeros, which are code words, too. Without them the data show whether
        # only the end marker is missing.
        pixels, warning = _decoded(_closed(data), colorspace)
    if _ODD_SCAN in warning.lower() and data.rfind(_END_OF_IMAGE) < data.rfind(_START_OF_SCAN):
        # Encoders err in the headers of scans, but here zeros stand in that of the last scan and behind it.
        raise Unreadable("truncated", f"libjpeg-turbo: {warning}, and no end", warning=warning)
    if pixels is None and not _HARMLESS.search(warning.lower()) and _recoverable(data, colorspace):
        reason = "truncated" if any(part in warning.lower() for part in _TRUNCATED) else "corrupt"
        raise Unreadable(reason, f"libjpeg-turbo: {warning}", warning=warning)
    return pixels if colorspace == "RGB" else None


def _decoded(data: bytes, colorspace: str) -> tuple[NDArray[np.uint8] | None, str]:
    """The pixels, or None and the first warning or error of libjpeg."""
    try:
        return simplejpeg.decode_jpeg(data, colorspace), ""
    except ValueError as error:
        return None, str(error)


def _closed(data: bytes) -> bytes:
    """The file without zeros at its end, and with an end marker."""
    kept = data.rstrip(b"\0")
    if kept.endswith(b"\xff") and len(kept) < len(data):
        kept += b"\0"  # the code byte 0xFF is stored with a zero behind it
    return kept + _END_OF_IMAGE


def _lacks_scans(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG leave bits of a coefficient out (ITU-T T.81, annex G).

    Each scan refines some of the 64 coefficients of some components; one that ends at a scan looks whole.
    """
    left: dict[int, list[int]] = {}
    offset = 2
    while marker := _MARKER.search(data, offset):
        kind, offset = marker[1][0], marker.end()
        length = int.from_bytes(data[offset : offset + 2])
        segment = data[offset + 2 : offset + length]
        if kind == _PROGRESSIVE_FRAME:
            left = {segment[at]: [_MANY] * 64 for at in range(6, len(segment), 3)}
        elif kind == _SCAN and segment:
            first, last, bits = segment[-3:]
            for at in range(1, 1 + 2 * segment[0], 2):
                left[segment[at]][first : last + 1] = [bits & 0x0F] * (last + 1 - first)
        offset += length
    return any(any(bits) for bits in left.values())


def _recoverable(data: bytes, colorspace: str) -> bool:
    """Whether libjpeg decodes the file in spite of what it says: then it was a warning, not a file it cannot read."""
    try:
        simplejpeg.decode_jpeg(data, colorspace, strict=False)
    except ValueError:
        return False
    return True
