"""Tables of neuron weights: CSV or Parquet, with the columns layer, neuron and weight."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dna_pipelines.distributions import Layers
from dna_pipelines.errors import UnknownName, UserError

_COLUMNS = ("layer", "neuron", "weight")
_MOST_WEIGHT = 1e100
"""Only the proportions of weights matter, and sums of larger weights would overflow."""


def read_weights(path: Path, layers: Layers) -> NDArray[np.float64]:
    """(n_neurons,) weights from a table with the columns layer, neuron and weight; 0 for neurons without a row.

    Raises:
        UserError: when the file cannot be read, or is not such a table.
        UnknownName: when there is no such layer or neuron.
    """
    weights, seen = np.zeros(layers.n_neurons), set()
    for number, row in enumerate(_rows(path), start=1):
        layer, neuron, weight = _values(path, number, row)
        index = _index(path, number, layers, layer, neuron)
        if index in seen:
            raise UserError(
                f"{path}, row {number}: {layer}:{neuron} has a row already",
                code="selection.duplicate-neuron",
                path=str(path),
                row=number,
                layer=layer,
                neuron=neuron,
            )
        seen.add(index)
        weights[index] = weight
    if not weights.any():
        raise UserError(f"{path} gives no neuron a weight above 0", code="selection.no-weight", path=str(path))
    return weights


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            rows, columns = table.to_pylist(), table.column_names
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                rows, columns = list(reader), list(reader.fieldnames or [])
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read: {error}", code="selection.unreadable-file", path=str(path), reason=str(error)
        ) from error
    if missing := set(_COLUMNS) - set(columns):
        raise UserError(
            f"{path} has no column {', '.join(sorted(missing))}; a table of weights has layer, neuron and weight",
            code="selection.missing-columns",
            path=str(path),
            columns=sorted(missing),
        )
    return rows


def _values(path: Path, number: int, row: dict[str, Any]) -> tuple[str, int, float]:
    """The layer, neuron and weight of a row."""
    try:
        layer, neuron, weight = str(row["layer"]), _whole(row["neuron"]), float(row["weight"])
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}, row {number}: a neuron is a whole number, and a weight is a number ({error})",
            code="selection.weight-row",
            path=str(path),
            row=number,
        ) from error
    if not 0 <= weight <= _MOST_WEIGHT:
        raise UserError(
            f"{path}, row {number}: a weight is between 0 and {_MOST_WEIGHT:g}, not {weight}",
            code="selection.weight-range",
            path=str(path),
            row=number,
            weight=weight,
        )
    return layer, neuron, weight


def _whole(value: Any) -> int:
    """A whole number, of text or of a column of floats."""
    number = int(value)
    if not isinstance(value, str) and number != value:
        raise ValueError(f"{value} is not a whole number")
    return number


def _index(path: Path, number: int, layers: Layers, layer: str, neuron: int) -> int:
    """The index of a row's neuron among all neurons."""
    if layer not in layers.slices:
        raise UnknownName(
            f"{path}, row {number}: there is no layer '{layer}'; the layers are: {', '.join(layers.names)}",
            code="name.layer",
            path=str(path),
            row=number,
            name=layer,
            known=list(layers.names),
        )
    part = layers.slice_of(layer)
    n_neurons = part.stop - part.start
    if not 0 <= neuron < n_neurons:
        raise UnknownName(
            f"{path}, row {number}: layer '{layer}' has neurons 0 to {n_neurons - 1}, not {neuron}",
            code="name.neuron",
            path=str(path),
            row=number,
            layer=layer,
            neuron=neuron,
            n_neurons=n_neurons,
        )
    return int(part.start) + neuron
