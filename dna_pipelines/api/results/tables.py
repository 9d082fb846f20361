"""Tables of results: for pandas, Arrow, JSON and notebooks."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dna_pipelines.errors import UserError

if TYPE_CHECKING:  # both are heavy, and pandas is optional
    import pandas as pd
    import pyarrow as pa

_SHOWN = 20
"""Rows that a table shows of itself."""

_LONGEST = 60
"""Letters of a cell that are shown as text."""


@dataclass(frozen=True, eq=False, repr=False)
class Table(Sequence[dict[str, Any]]):
    """Rows with named columns. It is a sequence of dictionaries, and turns into what you compute with.

    Attributes:
        columns: the names, in order.
        values: (n_rows) tuples of as many values as there are columns. None: there is no value.

    Examples:
        >>> table = Table.of([{"layer": "stage1", "emd": 2.5}, {"layer": "stage2", "emd": None}])
        >>> len(table), table[0]["layer"], table.column("emd")
        (2, 'stage1', [2.5, None])
        >>> print(table)
        layer   emd
        stage1  2.5
        stage2    –
        >>> table.to_arrow().column_names
        ['layer', 'emd']
    """

    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @staticmethod
    def of(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> Table:
        """A table of mappings; without `columns`, of every key in the order in which keys first occur."""
        listed = list(rows)
        names = tuple(columns) or tuple(dict.fromkeys(name for row in listed for name in row))
        return Table(names, tuple(tuple(row.get(name) for name in names) for row in listed))

    def with_last(self, *names: str) -> Table:
        """The same table with these columns, where it has them, last.

        Examples:
            >>> Table.of([{"digest": "ab", "path": "a.png"}]).with_last("digest").columns
            ('path', 'digest')
        """
        order = sorted(range(len(self.columns)), key=lambda at: self.columns[at] in names)
        return Table(
            tuple(self.columns[at] for at in order), tuple(tuple(row[at] for at in order) for row in self.values)
        )

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        """A row as a dictionary; of a slice, a list of them."""
        if isinstance(index, slice):
            return [dict(zip(self.columns, row, strict=True)) for row in self.values[index]]
        return dict(zip(self.columns, self.values[index], strict=True))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every row as a dictionary."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.values)

    def column(self, name: str) -> list[Any]:
        """The values of one column, in the order of the rows.

        Raises:
            KeyError: when there is no such column.
        """
        if name not in self.columns:
            raise KeyError(name)
        place = self.columns.index(name)
        return [row[place] for row in self.values]

    def to_arrow(self) -> pa.Table:
        """As a pyarrow Table; columns that mix types, or hold values that Arrow has no type for, as JSON text.

        Raises:
            UserError: when two columns have the same name (`api.columns`).
        """
        import pyarrow as pa

        self.require_distinct()
        return pa.table({name: _arrow_column([row[at] for row in self.values]) for at, name in enumerate(self.columns)})

    def to_pandas(self) -> pd.DataFrame:
        """As a pandas DataFrame.

        Raises:
            UserError: when pandas is not installed (`api.needs-pandas`), or two columns have the same name
                (`api.columns`).
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError(
                "to_pandas() needs pandas, which is not installed: pip install pandas (to_arrow() needs nothing more)",
                code="api.needs-pandas",
                package="pandas",
            ) from error
        self.require_distinct()
        return pd.DataFrame({name: [row[at] for row in self.values] for at, name in enumerate(self.columns)})

    def to_json(self) -> list[dict[str, Any]]:
        """As a JSON value: a list of objects."""
        value: list[dict[str, Any]] = json_value(list(self))
        return value

    def require_distinct(self) -> None:
        """Refuse two columns of one name.

        Raises:
            UserError: (`api.columns`).
        """
        if repeated := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise UserError(
                f"more than one column is called '{repeated[0]}'; give each a name of its own (… AS name)",
                code="api.columns",
                column=repeated[0],
            )

    def __repr__(self) -> str:
        """The first rows, aligned."""
        if not self.columns:
            return "(no columns)"
        rows = [[_text(cell) for cell in row] for row in self.values[:_SHOWN]]
        numeric = [
            any(isinstance(row[at], int | float) for row in self.values[:_SHOWN]) for at in range(len(self.columns))
        ]
        widths = [max(map(len, cells)) for cells in zip(self.columns, *rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, numeric, strict=True)
            ).rstrip()
            for cells in (self.columns, *rows)
        ]
        return "\n".join([*lines, *([self._rest()] if self._rest() else [])])

    def _rest(self) -> str:
        return f"… {len(self):,} rows, of which {_SHOWN} are shown" if len(self) > _SHOWN else ""

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_text(cell))}</td>' for cell in row)}</tr>"
            for row in self.values[:_SHOWN]
        )
        rest = f"<p>{html.escape(self._rest())}</p>" if self._rest() else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def json_value(value: Any) -> Any:
    """A value that `json.dumps` takes: no NaN and no infinity (they become None), no bytes, dates as ISO text.

    Examples:
        >>> json_value({"emd": float("nan"), "layers": ("a", b"b")})
        {'emd': None, 'layers': ['a', 'b']}
    """
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Table):
        return [json_value(item) for item in value]
    if hasattr(value, "item") and not hasattr(value, "__len__"):  # a number of numpy
        value = value.item()
    return value if value is None or isinstance(value, str | int) else _other_json(value)


def _other_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _arrow_column(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else json.dumps(json_value(value)) for value in values], pa.string())


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        value = json.dumps(json_value(value), ensure_ascii=False)
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
