"""Files that Pillow cannot write, put together byte by byte."""

import struct
import zlib

import numpy as np

GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, step of rows and step of columns of the passes of an interlaced PNG."""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, kind, depth=8, *, interlaced=False, first=b"", before=b"", after=b""):
    """A PNG of (height, width, channels) numbers; rows of fewer than 8 bits a value are padded."""
    height, width = values.shape[:2]
    passes = [values[r::dr, c::dc] for r, c, dr, dc in ADAM7] if interlaced else [values]
    rows = b"".join(b"\0" + _packed(row, depth) for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + first + chunk(b"IHDR", header) + before + body + after + chunk(b"IEND", b"")


def _packed(row, depth):
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = "".join(format(int(value), f"0{depth}b") for value in row.ravel())
    return bytes(int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8))


UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SEPARATED, CIELAB = 0, 1, 2, 5, 8


def tiff(values, photometric, bits, *, sample=UNSIGNED, extra=None, big=False, order="<", more=()):
    """An uncompressed TIFF (or BigTIFF) of one strip; `values` are (height, width, channels) of their stored type."""
    height, width, channels = values.shape
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [1], 262: [photometric], 273: [0]}
    tags |= {277: [channels], 278: [height], 279: [len(data)], 339: [sample] * channels, **dict(more)}
    if extra is not None:
        tags[338] = [extra]
    word, room = ("Q", 8) if big else ("I", 4)
    head = (b"II" if order == "<" else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    )
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    end_of_tags = len(head) + len(count) + len(tags) * (12 + (8 if big else 0)) + room
    long_ones = {tag: numbers for tag, numbers in tags.items() if 4 * len(numbers) > room}
    tags[273] = [end_of_tags + sum(4 * len(numbers) for numbers in long_ones.values())]
    entries, tail = b"", b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if tag in long_ones:
            field = struct.pack(order + word, end_of_tags + len(tail))
            tail += packed
        else:
            field = packed.ljust(room, b"\0")
        entries += struct.pack(f"{order}HH{word}", tag, 4, len(numbers)) + field
    return head + count + entries + struct.pack(order + word, 0) + tail + data


def segments(jpeg):
    """A JPEG's pieces: (marker, bytes from its 0xFF on), each scan with the data behind it."""
    offset, pieces = 2, []
    while offset < len(jpeg) - 2:
        marker, length = jpeg[offset + 1], struct.unpack(">H", jpeg[offset + 2 : offset + 4])[0]
        end = offset + 2 + length
        if marker == 0xDA:
            while not (jpeg[end] == 0xFF and jpeg[end + 1] not in (0, *range(0xD0, 0xD8))):
                end += 1
        pieces.append((marker, jpeg[offset:end]))
        offset = end
    return pieces


def joined(pieces):
    return b"\xff\xd8" + b"".join(data for _, data in pieces) + b"\xff\xd9"
