"""Tables that fit a width: which columns, how wide, and names that are never broken.

Belongs here: layout as a function of cells and width. Does not: writing to a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = 2
_FEWEST_WORDS = 14
"""A column of words is not made narrower than that, nor than its longest word (up to `_LONGEST_WORD`)."""
_LONGEST_WORD = 28
_LEAST_NAME = 12
_ROOM = Console(width=100_000, color_system=None)
"""Wraps texts; nothing is written to it."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: its heading, which may be broken between words.
        right: whether it is right-aligned, as numbers are.
        words: whether its cells may be broken between words; those of other columns never are.
        optional: whether it may be left out where the width is too small for all.
        shortened: whether its cells may be shortened in the middle where they would need lines of their own.
    """

    title: str
    right: bool = False
    words: bool = False
    optional: bool = False
    shortened: bool = False


@dataclass(frozen=True)
class Laid:
    """A table as lines.

    Attributes:
        lines: none is wider than the width, except where a single word is.
        left_out: titles of the columns that are left out.
    """

    lines: list[Text]
    left_out: list[str] = field(default_factory=list)


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> Laid:
    """Lay a table out within a width.

    Where it is too wide, in this order: titles and words are broken between words; optional columns are left out, the
    last first; names are shortened to half of the width; the first column gets lines of its own; the columns are folded
    into groups below each other.

    Args:
        columns: of the table; the first names the rows.
        rows: as many cells each as there are columns.
        width: in cells of the terminal.
    """
    short = _shortened(columns, rows, width // 2)
    for arrange, some in ((_in_rows, rows), (_in_rows, short), (_stacked, short)):
        chosen = list(range(len(columns)))
        while True:
            kept = [columns[index] for index in chosen]
            cells = [[row[index] for index in chosen] for row in some]
            if lines := arrange(kept, cells, width):
                return Laid(lines, _left_out(columns, chosen))
            optional = [index for index in chosen if columns[index].optional]
            if not optional:
                break
            chosen.remove(optional[-1])
    return Laid(list(_folded(kept, cells, width)), _left_out(columns, chosen))


def lay_out_matrix(
    names: Sequence[str], cells: Sequence[Sequence[str]], width: int, extra: tuple[str, Sequence[str]] | None = None
) -> list[Text]:
    """Lay a square table out within a width: folded into groups of columns where it is wider.

    Names that take more than half of the width are listed once, before the groups, and rows have numbers only.

    Args:
        names: of rows and columns; a column is headed by the number of its row.
        cells: one row for each name.
        width: in cells of the terminal.
        extra: title and cells of a column beside the names.
    """
    numbers = [str(index + 1) for index in range(len(names))]
    keys = [Column("", right=True), Column("dataset"), *([Column(extra[0], right=True)] if extra else [])]
    columns = [*keys, *(Column(number, right=True) for number in numbers)]
    beside = extra[1] if extra else [""] * len(names)
    rows = [
        [Text(number), Text(name), *([Text(more)] if extra else []), *map(Text, row)]
        for number, name, more, row in zip(numbers, names, beside, cells, strict=True)
    ]
    if widths := _widths(columns, rows, width):
        return list(_lines(columns, rows, widths))
    taken = sum(_narrowest(column, index, rows) + _GAP for index, column in enumerate(keys))
    if taken <= width // 2:
        return list(_grouped(columns, rows, width, n_keys=len(keys)))
    name_width = max(map(cell_len, names))
    short = elided(names, width - (taken - name_width))
    listed = [[row[0], Text(name), *row[2 : len(keys)]] for row, name in zip(rows, short, strict=True)]
    legend = _lines(keys, listed, [_natural(column, index, listed) for index, column in enumerate(keys)])
    alone = [[row[0], *row[len(keys) :]] for row in rows]
    return [*legend, Text(), *_grouped([columns[0], *columns[len(keys) :]], alone, width, n_keys=1)]


def elided(names: Sequence[str], width: int) -> list[str]:
    """Names of at most a width, shortened in the middle and still different from each other."""
    if max(map(cell_len, names), default=0) <= width:
        return list(names)
    n_different = len(set(names))
    for share in (0.5, 0.35, 0.65, 0.2, 0.8, 0.05, 0.95):
        short = [_elide(name, width, share) for name in names]
        if len(set(short)) == n_different:
            return short
    number = {name: str(index + 1) for index, name in enumerate(dict.fromkeys(names))}
    return [
        name if cell_len(name) <= width else _elide(name, width - len(number[name]), 1.0) + number[name]
        for name in names
    ]


def wrapped(text: Text, width: int, indent: int = 0) -> list[Text]:
    """A text as lines, broken between words only; what follows the first line is indented by two more."""
    margin = " " * indent
    if text.cell_len + indent <= width:
        return [Text(margin) + text]
    parts = text.divide(_breaks(text.plain, max(width - indent - 2, 1)))
    for part in parts:
        part.rstrip()
    return [Text(margin + ("  " if index else "")) + part for index, part in enumerate(parts)]


def _breaks(text: str, width: int) -> Iterator[int]:
    """Where lines of at most a width begin, except the first; a longer word has a line of its own."""
    begin = 0
    for word in re.finditer(r"\s*\S+", text):
        if word.start() > begin and cell_len(text[begin : word.end()]) > width:
            begin = word.start() + len(word.group()) - len(word.group().lstrip())
            yield begin


def _elide(name: str, width: int, share: float) -> str:
    if cell_len(name) <= width:
        return name
    room = max(width - 1, 1)
    head = round(room * share)
    return f"{name[:head]}…{name[len(name) - (room - head) :]}"


def _shortened(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[list[Text]]:
    """The rows with the cells of columns that may be shortened at most so wide."""
    cells = [list(row) for row in rows]
    for index, column in enumerate(columns):
        if column.shortened:
            for row, name in zip(cells, elided([row[index].plain for row in rows], width), strict=True):
                row[index] = Text(name, style=row[index].style)
    return cells


def _left_out(columns: Sequence[Column], chosen: Sequence[int]) -> list[str]:
    return [column.title for index, column in enumerate(columns) if index not in chosen and column.title]


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def _widest(index: int, rows: Sequence[Sequence[Text]]) -> int:
    return max((cell_len(line) for row in rows for line in row[index].plain.split("\n")), default=0)


def _natural(column: Column, index: int, rows: Sequence[Sequence[Text]]) -> int:
    return max(cell_len(column.title), _widest(index, rows))


def _narrowest(column: Column, index: int, rows: Sequence[Sequence[Text]]) -> int:
    title = _longest_word(column.title)
    if not column.words:
        return max(title, _widest(index, rows))
    word = max((_longest_word(row[index].plain) for row in rows), default=0)
    return min(max(title, _FEWEST_WORDS, min(word, _LONGEST_WORD)), _natural(column, index, rows))


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """The widths of all columns, the widest that fit; None where they do not fit."""
    room = width - _GAP * (len(columns) - 1)
    natural = [_natural(column, index, rows) for index, column in enumerate(columns)]
    if sum(natural) <= room:
        return natural
    least = [_narrowest(column, index, rows) for index, column in enumerate(columns)]
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    # Words first: a title on two lines costs one line, a text on two costs one in every row.
    for index in sorted(range(len(columns)), key=lambda index: (not columns[index].words, index)):
        more = min(spare, natural[index] - least[index])
        widths[index] += more
        spare -= more
    return widths


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Iterator[Text]:
    if any(column.title for column in columns):
        yield from _row([Text(column.title, style="bold") for column in columns], columns, widths)
    for row in rows:
        yield from _row(row, columns, widths)


def _row(cells: Sequence[Text], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[Text]:
    parts = [list(cell.wrap(_ROOM, max(width, 1), overflow="fold")) for cell, width in zip(cells, widths, strict=True)]
    for index in range(max((len(part) for part in parts), default=0)):
        line = Text()
        for part, column, width in zip(parts, columns, widths, strict=True):
            cell = part[index] if index < len(part) else Text()
            cell.rstrip()
            margin = " " * (width - cell.cell_len)
            line += Text.assemble(margin, cell) if column.right else Text.assemble(cell, margin)
            line.append(" " * _GAP)
        line.rstrip()
        yield line


def _in_rows(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text] | None:
    """One line for each row; None where that does not fit."""
    widths = _widths(columns, rows, width)
    return None if widths is None else list(_lines(columns, rows, widths))


def _stacked(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text] | None:
    """The first column on lines of its own, the others indented below; None where that does not fit either."""
    if len(columns) < 2:
        return None
    others = [list(row[1:]) for row in rows]
    widths = _widths(columns[1:], others, width - 2)
    names = elided([row[0].plain for row in rows], width)
    if widths is None:
        return None
    head, *tables = [
        [Text("  ") + line for line in _row(cells, columns[1:], widths)]
        for cells in ([Text(column.title, style="bold") for column in columns[1:]], *others)
    ]
    lines = [Text(columns[0].title, style="bold"), *head]
    for name, row, below in zip(names, rows, tables, strict=True):
        lines += [Text(name, style=row[0].style), *below]
    return lines


def _folded(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> Iterator[Text]:
    """Groups of columns below each other, each with the first column, which is elided where there is no other way."""
    widest = max(
        (
            min(_narrowest(column, index, rows), width - _GAP - _LEAST_NAME)
            for index, column in enumerate(columns)
            if index
        ),
        default=0,
    )
    names = elided([row[0].plain for row in rows], max(width - _GAP - widest, _LEAST_NAME))
    keyed = [[Text(name, style=row[0].style), *row[1:]] for name, row in zip(names, rows, strict=True)]
    yield from _grouped(columns, keyed, width, n_keys=1)


def _grouped(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int, *, n_keys: int) -> Iterator[Text]:
    keys = [_narrowest(column, index, rows) for index, column in enumerate(columns[:n_keys])]
    room = width - sum(keys) - _GAP * n_keys
    widths = {
        index: min(_narrowest(column, index, rows), max(room, 1))
        for index, column in enumerate(columns)
        if index >= n_keys
    }
    for number, group in enumerate(_groups(widths, room)):
        if number:
            yield Text()
        chosen = [*range(n_keys), *group]
        yield from _lines(
            [columns[i] for i in chosen],
            [[row[i] for i in chosen] for row in rows],
            [*keys, *(widths[i] for i in group)],
        )


def _groups(widths: dict[int, int], room: int) -> Iterable[list[int]]:
    group: list[int] = []
    taken = 0
    for index, width in widths.items():
        if group and taken + width > room:
            yield group
            group, taken = [], 0
        group.append(index)
        taken += width + _GAP
    yield group
