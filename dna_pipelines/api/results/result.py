"""What every result can do: be shown, and turn into pandas, Arrow and JSON."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from dna_pipelines.api.results.tables import Table, json_value

if TYPE_CHECKING:  # both are heavy, and pandas is optional
    import pandas as pd
    import pyarrow as pa


class Result(ABC):
    """The base of all results. They are frozen: to ask again, call the method that gave one again."""

    @property
    @abstractmethod
    def table(self) -> Table:
        """What the result says, row by row."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The result in one or two lines."""

    @abstractmethod
    def _json(self) -> Any:
        """What `dna … --json` prints, before NaN becomes null."""

    def to_json(self) -> Any:
        """The whole result as a value that `json.dumps` takes: what the command line prints with `--json`."""
        return json_value(self._json())

    def to_arrow(self) -> pa.Table:
        """`table` as a pyarrow Table."""
        return self.table.to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """`table` as a pandas DataFrame.

        Raises:
            UserError: when pandas is not installed (`api.needs-pandas`).
        """
        return self.table.to_pandas()

    def __repr__(self) -> str:
        """The summary and the first rows."""
        return f"{self.summary}\n{self.table!r}" if len(self.table) else self.summary

    def _repr_html_(self) -> str:
        summary = f"<p>{html.escape(self.summary)}</p>"
        return summary + (self.table._repr_html_() if len(self.table) else "")
