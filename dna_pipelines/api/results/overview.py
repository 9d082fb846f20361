"""Results about all datasets at once: the matrix and the map."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dna_pipelines.analysis.map import Map
from dna_pipelines.analysis.significance.all_pairs import MatrixPair
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.project.progress import counted

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MARKS = "≈: not significant; !: significant, with a caveat; ?: not tested (p corrected for all pairs, at 5 %)"


@dataclass(frozen=True, eq=False, repr=False)
class MatrixResult(Result):
    """The distances between all datasets.

    Attributes:
        matrix: names and distances.
        pairs: the test of every pair, where it was asked for; else None.
        missing: datasets of the datasets file that are not in the matrix: empty, blocked by a check, or not yet
            fingerprinted.
    """

    matrix: Matrix
    pairs: tuple[MatrixPair, ...] | None = None
    missing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets, in the order of rows and columns."""
        return self.matrix.names

    @property
    def values(self) -> NDArray[np.float64]:
        """(n_datasets, n_datasets) distances; NaN where a pair is not compared yet."""
        return self.matrix.values

    @property
    def table(self) -> Table:
        """A dataset a row, with a column for each dataset."""
        rows = (
            (name, *(None if value != value else float(value) for value in row))  # noqa: PLR0124 (NaN)
            for name, row in zip(self.names, self.values, strict=True)
        )
        return Table(("dataset", *self.names), tuple(rows))

    @property
    def tests(self) -> Table:
        """A pair a row, with p-values corrected for all pairs (`p_bh`, `p_by`); empty where no test was asked for."""
        return Table.of(pair.facts() for pair in self.pairs or ())

    @property
    def summary(self) -> str:
        """What the numbers are, and how many pairs differ significantly where they were tested."""
        title = f"{self.matrix.title} ({counted(len(self.names), 'dataset')})"
        if self.pairs is None:
            return title
        n = self.n_pairs
        return (
            f"{title}\n{counted(len(self.pairs), 'pair')}: {n['significant']:,} significant, "
            f"{n['not_significant']:,} not significant, {n['not_tested']:,} not tested; .tests has a row for each"
        )

    @property
    def n_pairs(self) -> dict[str, int]:
        """Pairs that are `significant` (after correction for all pairs), `not_significant` and `not_tested`."""
        results = Counter(pair.significant for pair in self.pairs or ())
        return {"significant": results[True], "not_significant": results[False], "not_tested": results[None]}

    def marks(self) -> dict[tuple[str, str], str]:
        """What is written before the number of a pair: `≈ `, `! ` or `? `; see `MARKS`."""
        marks = {}
        for pair in self.pairs or ():
            mark = {True: "! " if pair.result.caveats else "", False: "≈ ", None: "? "}[pair.significant]
            if mark:
                marks[pair.a, pair.b] = marks[pair.b, pair.a] = mark
        return marks

    def figure(self) -> Figure:
        """The matrix as a heat map: a matplotlib Figure that notebooks show."""
        from dna_pipelines.reporting.pictures import matrix_figure

        return matrix_figure(self.matrix, self.marks(), MARKS if self.pairs is not None else "")

    def _json(self) -> Any:
        tested = {"pairs": [pair.to_json() for pair in self.pairs]} if self.pairs is not None else {}
        return {**self.matrix.to_json(), "missing": list(self.missing), **tested}


@dataclass(frozen=True, eq=False, repr=False)
class MapResult(Result):
    """All datasets in a plane that preserves their distances as well as it can, with their clusters.

    Attributes:
        map: positions, clusters and the tree.
    """

    map: Map

    @property
    def table(self) -> Table:
        """A dataset a row: `x`, `y`, `cluster` (from 0) and, where asked for, `from_mean_bins`."""
        return Table.of(self._json()["datasets"])

    @property
    def stress(self) -> float:
        """How far the plane misleads: 0 is exact, and above 0.2 only the matrix has the real distances."""
        return float(self.map.plane.stress)

    @property
    def summary(self) -> str:
        """How well the plane preserves the distances."""
        kept = f"{self.map.plane.kept_share:.0%} of the spread, stress {self.stress:.2f}"
        return f"{self.map.matrix.title}: the plane keeps {kept}"

    def figure(self) -> Figure:
        """The plane and the tree, as a matplotlib Figure that notebooks show."""
        from dna_pipelines.reporting.map import map_figure

        return map_figure(self.map.matrix, self.map.plane, self.map.clusters, self.map.joins)

    def _json(self) -> Any:
        return self.map.to_json()
