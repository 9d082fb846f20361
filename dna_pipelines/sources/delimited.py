"""Tables of text with one row per line (.csv, .tsv), read as Python's csv module and spreadsheets read them."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

import pyarrow as pa

_SEPARATORS = ",;\t"
_EXCEL_LINE = "sep="
_END = "\0end of the table"
_LARGEST_CELL = 2**31 - 1


def read_delimited(data: bytes, separator: str | None = None) -> pa.Table:
    """A table of text; guessed types would turn patient 007 into 7. Empty cells are null.

    Args:
        data: UTF-8, or UTF-16 with a byte order mark.
        separator: between cells; by default the comma, semicolon or tab that gives the first line the most columns, or
            the one that Excel's line `sep=;` names.

    Raises:
        ValueError: when it is not text, has no header, has a row of another length or a quote that is never closed.
    """
    text = _decoded(data)
    if text.startswith(_EXCEL_LINE):
        line, _, text = text.partition("\n")
        separator = line.removeprefix(_EXCEL_LINE).strip("\r") or separator
    rows = _rows(text, separator or _separator_of(text))
    header = next(rows, None)
    if header is None:
        raise ValueError("it is empty; the first line has the names of the columns")
    columns: list[list[str | None]] = [[] for _ in header]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, and the header {len(header)}: {row[0][:80]}")
        for column, cell in zip(columns, row, strict=True):
            column.append(cell or None)
    return pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], names=header)


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is not text in UTF-8 ({error.reason} at byte {error.start:,}); save it as UTF-8"
        ) from error
    # Line ends of old Macs, which the csv module refuses.
    return text if "\n" in text else text.replace("\r", "\n")


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows that have a cell."""
    csv.field_size_limit(_LARGEST_CELL)  # of the whole process; by default a cell above 131,072 characters is an error
    # A quote that is never closed takes all rows after it, including the one that is added here.
    rows = csv.reader(io.StringIO(f"{text}\n{_END}", newline=""), delimiter=separator)
    for row in rows:
        if row == [_END]:
            return
        if row:
            yield row
    raise ValueError("a quote is never closed, so that the rows after it cannot be separated")


def _separator_of(text: str) -> str:
    line = text.lstrip("\r\n").partition("\n")[0]
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([line], delimiter=separator), [])))
