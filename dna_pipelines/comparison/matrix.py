"""The comparison matrix of one extractor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.metrics import metric


@dataclass(frozen=True, eq=False)
class Matrix:
    """Distances between datasets: (n, n), NaN where a pair is not compared yet.

    `selection` names the version of the selection whose neurons they are over; empty for all neurons.
    """

    extractor: str
    metric: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    selection: str = ""

    @property
    def title(self) -> str:
        """What the numbers are: the extractor, the metric with its unit, and what they are means over."""
        over = f", weighted by {self.selection}" if self.selection else ""
        shown = metric(self.metric)
        mean = "layers with a covariance" if shown.takes == "covariance" else "neurons"
        unit = "" if shown.unit == "none" or shown.unit in shown.title else f" ({shown.unit})"
        return f"{self.extractor}: {shown.title}{unit}, mean over {mean}{over}"

    @staticmethod
    def from_rows(
        extractor: str, metric: str, names: Iterable[str], rows: Iterable[Mapping[str, Any]], selection: str = ""
    ) -> Matrix:
        """From rows of the view `matrix` or `steered_matrix`; datasets that occur in none are left out.

        Args:
            extractor: whose rows to take.
            metric: one that the lake keeps.
            names: the order of the datasets.
            rows: of the view.
            selection: what the rows are weighted by.
        """
        values_of = {(row["dataset_a"], row["dataset_b"]): row[metric] for row in rows if row["extractor"] == extractor}
        known = {name for pair in values_of for name in pair}
        shown = tuple(name for name in names if name in known)
        index_of = {name: index for index, name in enumerate(shown)}
        values = np.full((len(shown), len(shown)), np.nan)
        np.fill_diagonal(values, 0.0)
        for (a, b), value in values_of.items():
            if a in index_of and b in index_of and value is not None:
                values[index_of[a], index_of[b]] = value
        return Matrix(extractor, metric, shown, values, selection)

    def to_json(self) -> dict[str, Any]:
        """The matrix as a JSON value; a pair that is not compared yet is null."""
        values = [[None if np.isnan(value) else float(value) for value in row] for row in self.values]
        facts = {"extractor": self.extractor, "metric": self.metric, "selection": self.selection or None}
        return {**facts, "datasets": list(self.names), "values": values}

    def nearest(self, n_pairs: int = 5, *, farthest: bool = False) -> list[tuple[str, str, float]]:
        """The pairs with the smallest (or largest) distances."""
        first, second = np.triu_indices(len(self.names), 1)
        values = self.values[first, second]
        order = np.argsort(-values if farthest else values)
        chosen = [index for index in order if np.isfinite(values[index])][:n_pairs]
        return [(self.names[first[index]], self.names[second[index]], float(values[index])) for index in chosen]
