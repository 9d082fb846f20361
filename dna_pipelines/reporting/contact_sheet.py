"""Contact sheets: thumbnails with captions, in columns that are read side by side."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

EDGE_PX = 148
"""The longer side of a thumbnail."""

_GAP, _MARGIN, _COLUMN_GAP = 10, 18, 34
_LINE, _TEXT, _TITLE = 14, 11, 15
_LETTERS = 24
"""The longest line of a caption."""
_BACKGROUND, _FRAME, _INK, _FAINT = "white", (235, 235, 235), (20, 20, 20), (110, 110, 110)


@dataclass(frozen=True, eq=False)
class Tile:
    """One image with its captions.

    Attributes:
        pixels: (height, width, 3); None where the image cannot be read.
        captions: the lines below it.
        problem: why there are no pixels.
    """

    pixels: NDArray[np.uint8] | None
    captions: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Column:
    """Tiles under a title, `n_across` side by side."""

    title: str
    tiles: Sequence[Tile]
    n_across: int = 1


def contact_sheet(title: str, columns: Sequence[Column]) -> bytes:
    """A sheet as the bytes of a PNG, in full colour: a palette would change the images it shows.

    Args:
        title: of the whole sheet.
        columns: from left to right.
    """
    n_lines = max((len(tile.captions) for column in columns for tile in column.tiles), default=0)
    cell = (EDGE_PX + _GAP, EDGE_PX + _GAP + n_lines * _LINE)
    n_down = max((-(-len(column.tiles) // column.n_across) for column in columns), default=0)
    widths = [column.n_across * cell[0] - _GAP for column in columns]
    width = max(2 * _MARGIN + sum(widths) + _COLUMN_GAP * (len(columns) - 1), 420)
    titles = [_wrapped(column.title, wide) for column, wide in zip(columns, widths, strict=True)]
    head = _wrapped(title, width - 2 * _MARGIN, _TITLE)
    top = _MARGIN + len(head) * (_TITLE + 5) + 8
    below = top + max(map(len, titles), default=0) * (_LINE + 2) + 8
    sheet = Image.new("RGB", (width, below + n_down * cell[1] + _MARGIN), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(head):
        pen.text((_MARGIN, _MARGIN + number * (_TITLE + 5)), line, _INK, font=_font(_TITLE, bold=True))
    left = _MARGIN
    for column, wide, lines in zip(columns, widths, titles, strict=True):
        for number, line in enumerate(lines):
            pen.text((left, top + number * (_LINE + 2)), line, _INK, font=_font(_TEXT + 1, bold=True))
        for index, tile in enumerate(column.tiles):
            row, across = divmod(index, column.n_across)
            _draw(sheet, pen, tile, left + across * cell[0], below + row * cell[1])
        left += wide + _COLUMN_GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    pen.rectangle((left, top, left + EDGE_PX - 1, top + EDGE_PX - 1), _FRAME)
    if tile.pixels is None:
        for number, line in enumerate(textwrap.wrap(_printable(tile.problem), _LETTERS)[: EDGE_PX // _LINE - 1]):
            pen.text((left + 6, top + 6 + number * _LINE), line, _FAINT, font=_font(_TEXT))
    else:
        image = _thumbnail(tile.pixels)
        sheet.paste(image, (left + (EDGE_PX - image.width) // 2, top + (EDGE_PX - image.height) // 2))
    for number, line in enumerate(tile.captions):
        ink = _INK if number == 0 else _FAINT
        pen.text((left, top + EDGE_PX + 3 + number * _LINE), _short(line), ink, font=_font(_TEXT))


def _thumbnail(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    longest = max(image.size)
    if longest <= EDGE_PX:
        # Small images are enlarged by whole numbers, so that their pixels can be seen.
        times = EDGE_PX // longest
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    scale = EDGE_PX / longest
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _short(line: str) -> str:
    """The end of a line, which for a path is more specific than its beginning."""
    line = _printable(line)
    return line if len(line) <= _LETTERS else f"…{line[-(_LETTERS - 1) :]}"


def _printable(text: str) -> str:
    """Text without the characters that no font has, such as separators of paragraphs and undecodable bytes."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _wrapped(text: str, width_px: int, size: int = _TEXT + 1) -> list[str]:
    return textwrap.wrap(_printable(text), max(12, int(width_px / (0.58 * size))))


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    # Matplotlib's font has the letters of more languages than Pillow's own.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size)
