"""TIFF: which layouts Pillow decodes to the pixels that the tags describe; `rare_tiff` decodes others.

A TIFF describes its pixels by some ten tags, which may be combined freely. Pillow decodes many combinations, refuses
some, and gives wrong pixels for others without an error. So the tags are compared with the combinations that are known
to be right: `dna_pipelines_tests/imaging/test_tiff.py` decodes each.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.reading import Reading

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED = 1
"""Of extra samples: alpha by which the colours are multiplied."""

_UNCOMPRESSED, _JPEG = 1, 7
_COMPRESSIONS = frozenset({_UNCOMPRESSED, 2, 3, 4, 5, 6, _JPEG, 8, 32773, 32946, 34925, 50000})
_SUB_FILES, _DNG_VERSION, _TIFF_EP = 330, 50706, 37398
SENSOR = frozenset({32803, 34892})
"""The photometric interpretations of a sensor's own values: a colour filter array, and linear raw."""
_REDUCED, _MASK = 1, 4
_CANON_RAW = b"CR"
_BIG = b"+"
"""The third byte of a BigTIFF of little-endian byte order, whose header is longer."""
_WHERE = ((273, 324), (279, 325))
"""The tags of offsets and of byte counts, of strips or of tiles."""
_DAMAGE = (struct.error, OSError, ValueError, KeyError, TypeError, SyntaxError, IndexError, StopIteration, RuntimeError)
"""What Pillow raises for a directory that it cannot read."""
_MOST_TILE_PIXELS = 2**24
_MOST_TILE_SHARE = 4
"""Tiles may be larger than the image, but not by more than this, where they are more than that many pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the first page of a TIFF stores its pixels (TIFF 6.0)."""

    photometric: int
    bits: tuple[int, ...]
    sample_format: int
    extra: tuple[int, ...]
    is_planar: bool
    compression: int
    is_big_endian: bool
    subsampling: tuple[int, ...]

    @classmethod
    def of(cls, image: TiffImagePlugin.TiffImageFile) -> Layout:
        """That of an opened file; missing tags have their defaults."""
        tags = image.tag_v2
        samples = tags.get(277, 1)
        bits = _numbers(tags.get(258, (1,)))
        return cls(
            photometric=tags.get(262, BLACK_IS_ZERO),
            bits=bits if len(bits) == samples else bits[:1] * samples,
            sample_format=_numbers(tags.get(339, (UNSIGNED,)))[0],
            extra=_numbers(tags.get(338, ())),
            is_planar=tags.get(284, 1) == 2 and samples > 1,
            compression=tags.get(259, _UNCOMPRESSED),
            is_big_endian=tags.prefix == b"MM",
            subsampling=_numbers(tags.get(530, (2, 2))),
        )

    @property
    def is_decoded_by_pillow(self) -> bool:
        """Whether Pillow gives the pixels that the tags describe."""
        if self.compression not in _COMPRESSIONS or len(set(self.bits)) > 1:
            return False
        if self.is_planar and not self._planar_is_right:
            return False
        return {
            WHITE_IS_ZERO: self._grey_is_right,
            BLACK_IS_ZERO: self._grey_is_right,
            YCBCR: self.compression in (6, _JPEG) or self.subsampling == (1, 1),
        }.get(self.photometric, self.sample_format == UNSIGNED)

    @property
    def has_all_samples(self) -> bool:
        """Whether Pillow gives every sample in full: not the upper byte of deep colours, and no band left out."""
        if not self.is_decoded_by_pillow:
            return False
        return len(self.bits) == 1 or (max(self.bits) <= 8 and len(self.bits) <= 4 and self.extra in ((), (0,), (2,)))

    @property
    def _planar_is_right(self) -> bool:
        if self.compression == _UNCOMPRESSED:
            return self.bits[0] == 8 and self.photometric in (RGB, SEPARATED) and self.extra in ((), (2,))
        return self.photometric in (RGB, SEPARATED) or (self.bits[0] == 8 and 2 not in self.extra)

    @property
    def _grey_is_right(self) -> bool:
        if len(self.bits) > 1:
            return self.sample_format == UNSIGNED and ASSOCIATED not in self.extra
        if self.sample_format == UNSIGNED:
            return True
        swapped = self.is_big_endian and self.compression != _UNCOMPRESSED
        return self.bits[0] > 8 and not swapped

    def __str__(self) -> str:
        """In words, for messages."""
        names = {0: "grey, white is 0", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIELAB"}
        kind = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "floating-point "}.get(self.sample_format, "undefined ")
        return (
            f"{names.get(self.photometric, f'photometric {self.photometric}')}, {len(self.bits)} {kind}samples of "
            f"{self.bits[0]} bits{', planar' if self.is_planar else ''}, compression {self.compression}, "
            f"{'big' if self.is_big_endian else 'little'}-endian"
        )


def is_header_of_tiff(data: bytes) -> bool:
    """Whether a file begins as a TIFF or BigTIFF, of either byte order."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_tiff(image: TiffImagePlugin.TiffImageFile, data: bytes) -> None:
    """Refuse what is no photograph but holds a preview of one, and what would take more memory than its size says.

    Raises:
        Unreadable: `unsupported` for camera raw files, `truncated` for pixels that end after the file, `too large` for
            tiles far larger than the image.
    """
    if _is_camera_raw(image, data):
        raise Unreadable(
            "unsupported", "a camera raw file, of which only the preview could be read; develop it", format="raw"
        )
    check_tiles(image.size, (image.tag_v2.get(322, 0), image.tag_v2.get(323, 0)))
    offsets, counts = (
        _numbers(next((image.tag_v2[tag] for tag in tags if tag in image.tag_v2), ())) for tags in _WHERE
    )
    for offset, count in zip(offsets, counts, strict=False):
        if offset + count > len(data):
            raise Unreadable("truncated", f"pixels at byte {offset} end after the file", offset=offset)


def bands_not_read(photometric: int, n_bands: int, reading: Reading) -> str:
    """The bands beyond the colours and one for alpha, which the rules leave out; "" where there are none."""
    n_colours = {RGB: 3, YCBCR: 3, SEPARATED: 4}.get(photometric, 1)
    if n_bands <= n_colours + 1 or reading.bands:
        return ""
    return f"{n_colours} of {n_bands} bands (`bands: {[1] if n_colours == 1 else [1, 2, 3]}` chooses)"


def widen_palette(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Read a palette of 8-bit entries as what it is: they belong into the upper byte (TIFF 6.0), and some writers err.

    All entries are below 256 then, as no palette of 16 bits that has a colour other than black is.

    Returns:
        Whether the image has such a palette.
    """
    entries = _numbers(image.tag_v2.get(320, ()))
    is_of_8_bits = image.mode == "P" and bool(entries) and 0 < max(entries) < 256
    if is_of_8_bits:
        third = len(entries) // 3
        image.putpalette(bytes(entries[band * third + at] for at in range(third) for band in range(3)))
    return is_of_8_bits


def check_tiles(size: tuple[int, int], tile: tuple[int, int]) -> None:
    """Refuse tiles that take far more memory than the image.

    Args:
        size: width and height of the image in pixels.
        tile: width and height of a tile; (0, 0) where there are none.

    Raises:
        Unreadable: `too large`.
    """
    if 0 in tile:
        return
    padded = math.prod(-(-edge // part) * part for edge, part in zip(size, tile, strict=True))
    if padded > max(_MOST_TILE_PIXELS, _MOST_TILE_SHARE * math.prod(size)):
        raise Unreadable(
            "too large",
            f"{size[0]} x {size[1]} pixels in tiles of {tile[0]} x {tile[1]}",
            size_px=list(size),
            tile_px=list(tile),
        )


def _is_camera_raw(image: TiffImagePlugin.TiffImageFile, data: bytes) -> bool:
    tags = image.tag_v2
    if _DNG_VERSION in tags or _TIFF_EP in tags or data[8:10] == _CANON_RAW or tags.get(262) in SENSOR:
        return True
    sub_files = _numbers(tags.get(_SUB_FILES, ()))
    return bool(sub_files) and (tags.get(254, 0) & _REDUCED != 0 or any(_is_sensor(data, at) for at in sub_files))


def pages_of(data: bytes, most: int) -> list[int]:
    """The positions of the pages in the chain of directories: the first, and all others of full resolution.

    Copies of less resolution and masks are no pages (TIFF 6.0, NewSubfileType).

    Args:
        data: the file.
        most: no more than so many are returned.
    """
    pages: list[int] = []
    try:
        for index, directory in enumerate(_directories(data)):
            if index == 0 or not directory.get(254, 0) & (_REDUCED | _MASK):
                pages.append(index)
            if len(pages) == most:
                break
    # What follows the first page cannot be read, and is not.
    except _DAMAGE:
        pass
    return pages


def index_of_page(data: bytes, page: int) -> int:
    """The position of a page, counted from 1, in the chain of directories.

    Raises:
        Unreadable: `truncated` where there is none.
    """
    pages = pages_of(data, page)
    if len(pages) < page:
        raise Unreadable("truncated", f"it has no page {page}", page=page, n_pages=len(pages))
    return pages[-1]


def _directories(data: bytes) -> Iterator[TiffImagePlugin.ImageFileDirectory_v2]:
    offset, seen = None, set[int]()
    while offset is None or (offset and offset not in seen):
        seen.add(offset or 0)
        directory = _directory(data, offset)
        yield directory
        offset = directory.next


def is_sound_header(data: bytes) -> bool:
    """Whether a TIFF's first directory can be read, and its pixels lie within the file."""
    try:
        tags = _directory(data, None)
        offsets, counts = (_numbers(next(tags[tag] for tag in some if tag in tags)) for some in _WHERE)
        return (
            tags[256] > 0 and tags[257] > 0 and all(map(len(data).__ge__, map(sum, zip(offsets, counts, strict=True))))
        )
    except _DAMAGE:
        return False


def _is_sensor(data: bytes, offset: int) -> bool:
    try:
        return _directory(data, offset).get(262) in SENSOR
    # A damaged directory beside the image says nothing of the image.
    except _DAMAGE:
        return False


def _directory(data: bytes, offset: int | None) -> TiffImagePlugin.ImageFileDirectory_v2:
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[2:3] == _BIG else 8])
    file = io.BytesIO(data)
    file.seek(directory.next if offset is None else offset)
    directory.load(file)
    return directory


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
