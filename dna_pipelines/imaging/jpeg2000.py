"""JPEG 2000: what its header says and Pillow's decoder does not heed (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dna_pipelines.errors import Unreadable

_SIZE, _START_OF_TILE, _END = 0xFF51, 0xFF90, 0xFFD9
_TILE_HEADER_BYTES = 12
_MOST_SMALL_TILES = 1024
_SMALL_TILE_PIXELS = 1024
_DAMAGE = (struct.error, IndexError)


def check_jpeg2000(data: bytes) -> None:
    """Refuse files of which a decoder gives other pixels than they describe, and those without some of their tiles.

    Raises:
        Unreadable: `unsupported` for chroma whose samples do not divide the size, channels in another order and mapped
            palettes, `truncated` for tiles without data, `too large` for tiles so small that their number takes the
            memory.
    """
    try:
        for kind, start, end in _header_boxes(data):
            _check_channels(kind, data[start:end])
        _check_tiles(data, _codestream(data))
    # What a damaged header leads to, the decoder finds as well.
    except _DAMAGE:
        return


def _unsupported(what: str) -> Unreadable:
    return Unreadable("unsupported", f"a JPEG 2000 with {what}; convert it", format="JPEG2000")


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind, start and end of the content of each box."""
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if length == 0 else start + length
        yield kind, start + head, min(stop, end)
        if stop <= start:
            return
        start = stop


def _header_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"jp2h":
            yield from _boxes(data, start, end)


def _codestream(data: bytes) -> int:
    if data.startswith(b"\xff\x4f"):
        return 0
    return next((start for kind, start, _ in _boxes(data, 0, len(data)) if kind == b"jp2c"), len(data))


def _check_channels(kind: bytes, box: bytes) -> None:
    if kind == b"cdef":
        (n_channels,) = struct.unpack_from(">H", box)
        for channel, use, colour in struct.iter_unpack(">HHH", box[2 : 2 + 6 * n_channels]):
            if use == 0 and colour not in (0, channel + 1):
                raise _unsupported("its channels in another order")
    if kind == b"cmap":
        for column, (component, use, palette) in enumerate(struct.iter_unpack(">HBB", box)):
            if (component, use, palette) != (0, 1, column):
                raise _unsupported("a mapped palette")


def _check_tiles(data: bytes, start: int) -> None:
    marker, _, _, width, height, left, top, tile_width, tile_height, tile_left, tile_top, n_components = (
        struct.unpack_from(">HHHIIIIIIIIH", data, start + 2)
    )
    if marker != _SIZE or not tile_width or not tile_height:
        return
    components = struct.iter_unpack(">BBB", data[start + 42 : start + 42 + 3 * n_components])
    if any(left % across or width % across or top % down or height % down for _, across, down in components):
        raise _unsupported("components of fewer samples that do not divide the size")
    n_tiles = -(-(width - tile_left) // tile_width) * -(-(height - tile_top) // tile_height)
    if n_tiles > _MOST_SMALL_TILES and n_tiles * _SMALL_TILE_PIXELS > (width - left) * (height - top):
        raise Unreadable("too large", f"{n_tiles} tiles of {tile_width} x {tile_height} pixels", n_tiles=n_tiles)
    found = set(_tiles(data, start))
    if len(found) < n_tiles:
        raise Unreadable("truncated", f"it has {len(found)} of {n_tiles} tiles", n_tiles=n_tiles, n_found=len(found))


def _tiles(data: bytes, start: int) -> Iterator[int]:
    """The index of the tile of each tile-part, as far as their lengths lead."""
    offset = start + 2
    while offset + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, offset)
        if marker == _START_OF_TILE:
            if offset + _TILE_HEADER_BYTES > len(data):
                raise Unreadable("truncated", "the header of a tile is not whole")
            tile, tile_bytes = struct.unpack_from(">HI", data, offset + 4)
            yield tile
            if tile_bytes == 0:  # it reaches to the end
                return
            offset += tile_bytes
            if offset > len(data):
                raise Unreadable("truncated", f"the data of tile {tile} are not whole", tile=tile)
        elif marker == _END:
            return
        else:
            offset += 2 + length
