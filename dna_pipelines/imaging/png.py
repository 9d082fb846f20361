"""The checksums of PNG: Pillow verifies neither those of the pixel data nor the one at the end of their stream."""

from __future__ import annotations

import struct
import zlib

from dna_pipelines.errors import Unreadable

_SIGNATURE_BYTES = 8
_FRAME_BYTES = 12
"""What a chunk takes beside its data: length, kind and checksum."""
_CHECKED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
"""The chunks that decide what the pixels are. Damage in others, such as texts and times, does not change an image."""


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
        if kind in _CHECKED:
            if end > len(data):
                raise Unreadable("truncated", f"its {kind.decode()} chunk at byte {offset} is not whole", offset=offset)
            if zlib.crc32(view[offset + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
                raise Unreadable(
                    "corrupt",
                    f"the checksum of its {kind.decode()} chunk at byte {offset} is wrong",
                    chunk=kind.decode(),
                    offset=offset,
                )
        if kind == b"IEND":
            return
        offset = end
