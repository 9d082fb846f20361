"""The checksums of PNG: Pillow verifies neither those of the pixel data nor the one at the end of their stream."""

from __future__ import annotations

import struct
import zlib

from dna_pipelines.errors import Unreadable

_SIGNATURE_BYTES = 8
_FRAME_BYTES = 12
"""What a chunk takes beside its data: length, kind and checksum."""
_UNCHECKED = frozenset({
    b"tEXt", b"zTXt", b"iTXt", b"tIME", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"hIST", b"pHYs", b"sPLT",
    b"acTL", b"fcTL", b"fdAT",
})  # fmt: skip
"""The chunks that do not decide what the (first) image is: damage in texts, times and profiles changes no pixel. Those
of an unknown name are checked, because one that does decide it may have lost its name."""


def check_png(data: bytes) -> None:
    """Verify the checksums of a PNG file (PNG specification, third edition, section 5.3) up to its last chunk.

    Whether rows are missing at the end is left to the decoder.

    Raises:
        Unreadable: `corrupt` for a wrong checksum, `truncated` for a chunk that ends after the file, and `unsupported`
            for Apple's variant, whose pixels are stored in another way.
    """
    view, offset = memoryview(data), _SIGNATURE_BYTES
    while offset + _FRAME_BYTES <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + _FRAME_BYTES + length
        if kind == b"CgBI":
            raise Unreadable("unsupported", "Apple's variant of PNG (CgBI); convert it", format="CgBI")
        if not kind.isalpha() and not view[offset:].tobytes().strip(b"\0"):
            return
        if kind not in _UNCHECKED:
            if end > len(data):
                raise Unreadable("truncated", f"its {_named(kind)} chunk at byte {offset} is not whole", offset=offset)
            if zlib.crc32(view[offset + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
                raise Unreadable(
                    "corrupt",
                    f"the checksum of its {_named(kind)} chunk at byte {offset} is wrong",
                    chunk=_named(kind),
                    offset=offset,
                )
        if kind == b"IEND":
            return
        offset = end


def _named(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
