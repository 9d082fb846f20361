"""The first bytes of file formats: the reason why Pillow does not recognise a file."""

from __future__ import annotations

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.tiff import is_sound_header

_DECODED = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
_OTHERS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"8BPS": "Photoshop",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"<svg": "SVG",
    b"MM\0+": "BigTIFF of big-endian byte order",
}
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def why_not_identified(data: bytes) -> Unreadable:
    """The error for a file that no decoder recognises."""
    if other := _other_format(data):
        return Unreadable("unsupported", f"{other} is not decoded; convert it to a format that is", format=other)
    if decoded := _decoded_format(data):
        if decoded == "TIFF" and is_sound_header(data):
            return Unreadable(
                "unsupported",
                "a TIFF of a layout that Pillow has no mode for: install dna_pipelines[tiff], or convert it",
                format="TIFF",
            )
        return Unreadable(
            "corrupt", f"{len(data)} bytes that begin as {decoded}, whose header cannot be read", format=decoded
        )
    return Unreadable("not an image", f"{len(data)} bytes of no known image format")


def _decoded_format(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "AVIF"
    return next((name for start, name in _DECODED.items() if data.startswith(start)), None)


def _other_format(data: bytes) -> str | None:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return "HEIF (HEIC)"
    return next((name for start, name in _OTHERS.items() if data.startswith(start)), None)
