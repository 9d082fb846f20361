"""Results of questions about one fingerprint, selections of neurons, SQL and exported files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dna_pipelines.analysis.inspect import Changed, Inspected
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.distributions import Layers
from dna_pipelines.maintenance.export import Exported
from dna_pipelines.project.progress import counted
from dna_pipelines.storage import Lake
from dna_pipelines.storage.records import SelectionRecord

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class InspectResult(Result):
    """What a fingerprint says about its images: dead and saturated neurons, sparsity, rank of every layer.

    Attributes:
        inspected: of the dataset; of two, of the second.
        changed: of two datasets, both of them and the neurons that changed; else None.
    """

    inspected: Inspected
    changed: Changed | None = None

    @property
    def layers(self) -> Table:
        """A layer a row, with `n_dead`, `n_saturated`, `zero_share`, `kurtosis`, `effective_rank` and more."""
        return Table.of(layer.to_json() for layer in self.inspected.layers)

    @property
    def neurons(self) -> dict[str, list[str]]:
        """By state (`dead`, `silent`, `saturated`) the neurons in it, as ``layer:3,17``."""
        return dict(self.inspected.neurons)

    @property
    def changes(self) -> dict[str, list[str]]:
        """By what happened, the neurons it happened to, as ``layer:3,17``; empty for one dataset."""
        return dict(self.changed.changes) if self.changed else {}

    @property
    def table(self) -> Table:
        """The same as `layers`."""
        return self.layers

    @property
    def summary(self) -> str:
        """Of what it is."""
        traits = self.inspected
        return f"{traits.reference} ({traits.extractor}, {counted(traits.n_images, 'image')})"

    def _json(self) -> Any:
        return self.changed.to_json() if self.changed else self.inspected.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class SelectionsResult(Result):
    """Named selections of neurons, the current version of each.

    Attributes:
        records: of the selections.
        left_out: after learning one, the contrasts that were left out, and why.
        n_images_extracted: after learning one, the images that were extracted for slices.
        lake: where the weights are; None where they were not asked for.
    """

    records: tuple[SelectionRecord, ...]
    left_out: tuple[str, ...] = ()
    n_images_extracted: int = 0
    lake: Lake | None = None

    @property
    def weights(self) -> dict[str, NDArray[np.float64]]:
        """By layer, the weight of each neuron, of the first selection; empty where they were not asked for."""
        if self.lake is None:
            return {}
        record = self.records[0]
        weights = self.lake.selections.weights(record)
        return {layer: weights[part] for layer, part in Layers.from_key(record.layers).slices.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the selections."""
        return tuple(record.name for record in self.records)

    @property
    def table(self) -> Table:
        """A selection a row: `selection`, `version`, `extractor`, `n_chosen`, `created_at`."""
        return Table.of(self._json(), ("selection", "version", "extractor", "n_chosen", "created_at"))

    @property
    def summary(self) -> str:
        """How many there are; of one, how many neurons it has."""
        if len(self.records) != 1:
            return counted(len(self.records), "selection")
        record = self.records[0]
        n_neurons = Layers.from_key(record.layers).n_neurons
        return f"{record.name}@{record.seq}: {record.n_chosen:,} of {n_neurons:,} neurons of {record.extractor}"

    def _json(self) -> Any:
        rows = []
        for record in self.records:
            facts = record.model_dump(mode="json", exclude={"removed", "layers"})
            rows.append({"selection": facts.pop("name"), "version": facts.pop("seq"), **facts})
        return rows


@dataclass(frozen=True, eq=False, repr=False)
class SqlResult(Result):
    """The rows of an SQL statement. It is a sequence of tuples.

    Attributes:
        rows: the rows, as Python values.
        columns: their names; two may be equal.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows."""
        return iter(self.rows)

    @property
    def table(self) -> Table:
        """The rows with their names."""
        return Table(self.columns, self.rows)

    def df(self) -> pd.DataFrame:
        """The same as `to_pandas`, by DuckDB's name.

        Raises:
            UserError: when pandas is not installed (`api.needs-pandas`).
        """
        return self.to_pandas()

    @property
    def summary(self) -> str:
        """How many rows there are."""
        return counted(len(self.rows), "row")

    def _json(self) -> Any:
        self.table.require_distinct()
        return list(self.table)


@dataclass(frozen=True, eq=False, repr=False)
class ExportResult(Result):
    """A fingerprint that was written as a VDNA: NAME.json, and NAME.npz beside it.

    Attributes:
        path: the JSON file.
        exported: what was written.
    """

    path: Path
    exported: Exported

    @property
    def table(self) -> Table:
        """A layer a row, and whether it was `written`."""
        rows = [(name, True) for name in self.exported.layers] + [(name, False) for name in self.exported.left_out]
        return Table(("layer", "written"), tuple(rows))

    @property
    def summary(self) -> str:
        """What was written."""
        sizes = f"{counted(len(self.exported.layers), 'layer')}, {counted(self.exported.n_images, 'image')}"
        return f"{self.path}: {sizes}"

    def _json(self) -> Any:
        return {
            "path": str(self.path),
            "layers": list(self.exported.layers),
            "left_out": list(self.exported.left_out),
            "n_images": self.exported.n_images,
        }
