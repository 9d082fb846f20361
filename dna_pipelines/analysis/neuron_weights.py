"""Named selections of neurons: made by hand or from a file, found again, and the matrix under one."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dna_pipelines.comparison import Selection
from dna_pipelines.config.values import NAME_PATTERN
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import Comparable, Dna, layer_differences
from dna_pipelines.errors import ConfigError, Incomparable, NothingToCompare, UnknownName, UserError
from dna_pipelines.identity import digest_of
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage.records import SelectionRecord

_COLUMNS = ("layer", "neuron", "weight")
_MOST_WEIGHT = 1e100
"""Only the proportions of weights matter, and sums of larger ones would overflow."""


def extractor_layers(project: ProjectFolder, extractor: str) -> Layers:
    """The layers of an extractor that was used here."""
    record = used_extractor(project, extractor)
    ranges = project.lake.fingerprints.ranges(extractor, record.fingerprint)
    if ranges is None:
        raise NothingToCompare(f"{extractor} has no activation ranges yet; run `dna run`")
    return ranges.layers


def save_selection(
    project: ProjectFolder,
    name: str,
    *,
    extractor: str | None = None,
    layers: Sequence[str] = (),
    neurons: Sequence[str] = (),
    weights: Path | None = None,
) -> SelectionRecord:
    """Keep neurons that somebody chose as the next version of a selection.

    Args:
        project: whose lake it goes to.
        name: of the selection.
        extractor: whose layers are meant; the first of the project by default.
        layers, neurons: see `Selection.of`.
        weights: instead of them a table (.csv or .parquet) with the columns layer, neuron and weight; neurons
            that it leaves out get 0.
    """
    checked = require_name(name)
    extractor = project.extractor_name(extractor)
    there = extractor_layers(project, extractor)
    if (weights is None) == (not layers and not neurons):
        raise UserError("say which neurons: by --layer and --neuron, or by --weights FILE, and not by both")
    if weights is None:
        chosen = Selection.of(there, layers, neurons)
        how: dict[str, Any] = {"made_by": "hand", "layers": list(layers), "neurons": list(neurons)}
    else:
        chosen = Selection(there, read_weights(weights, there))
        how = {"made_by": "file", "file": weights.name, "sha256": digest_of(weights.read_bytes())}
    return project.lake.selections.put(
        checked, there, chosen.weights, extractor=extractor, comparability_key=None, how=how
    )


def remove_selection(project: ProjectFolder, name: str) -> SelectionRecord:
    """Say that a selection is removed; NAME@VERSION still finds its versions."""
    find_record(project, require_name(name))
    return project.lake.selections.put_removed(name)


def list_selections(project: ProjectFolder) -> list[SelectionRecord]:
    """The current version of every selection that is not removed."""
    last = [project.lake.selections.history(name)[-1:] for name in project.lake.selections.names()]
    return [records[0] for records in last if records and not records[0].removed]


def find_record(project: ProjectFolder, reference: str) -> SelectionRecord:
    """The version of a selection that NAME or NAME@3 names.

    Raises:
        UnknownName: when there is none.
    """
    name, at, version = reference.partition("@")
    history = project.lake.selections.history(name) if name else []
    if not history:
        known = ", ".join(record.name for record in list_selections(project)) or "none (`dna select save` makes one)"
        raise UnknownName(f"there is no selection '{name}'; there are: {known}")
    kept = [record for record in history if not record.removed]
    if not at:
        if history[-1].removed:
            raise UnknownName(f"the selection '{name}' was removed; its versions are: {_versions(kept)}")
        return history[-1]
    found = [record for record in kept if str(record.seq) == version]
    if not found:
        raise UnknownName(f"the selection '{name}' has no version '{version}'; it has: {_versions(kept)}")
    return found[0]


def find_selection(project: ProjectFolder, reference: str, dna: Comparable) -> Selection:
    """A kept selection, for a DNA that it may be used on.

    Raises:
        UnknownName: when there is no such selection.
        Incomparable: when the DNA has other layers, or the weights were learned from DNAs of another key.
    """
    record = find_record(project, reference)
    key = dna.key.id if isinstance(dna, Dna) else None
    return _fitting(project, record, dna.layers, key, dna.label)


def chosen_selection(
    project: ProjectFolder, dna: Comparable, layers: Sequence[str], neurons: Sequence[str], kept: str | None
) -> Selection:
    """What somebody chose of a DNA's neurons: a kept selection by name, or layers and neurons; else every one."""
    return find_selection(project, kept, dna) if kept else Selection.of(dna.layers, layers, neurons)


def extractor_selection(project: ProjectFolder, reference: str, extractor: str) -> Selection:
    """A kept selection, for the DNAs of an extractor as they are measured now; raises as `find_selection` does."""
    layers, key = extractor_layers(project, extractor), used_extractor(project, extractor).comparability_key
    return _fitting(project, find_record(project, reference), layers, key, extractor)


def read_weights(path: Path, layers: Layers) -> NDArray[np.float64]:
    """Weights over all neurons from a table with the columns layer, neuron and weight; 0 where it has no row.

    Raises:
        UserError: when the file cannot be read, or is not such a table.
        UnknownName: for a layer or a neuron there is not.
    """
    weights, seen = np.zeros(layers.n_neurons), set()
    for number, row in enumerate(_rows(path), start=1):
        try:
            layer, neuron, weight = str(row["layer"]), int(row["neuron"]), float(row["weight"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}, row {number}: neuron is a whole number and weight a number ({error})") from error
        part = layers.slice_of(layer)
        if not 0 <= neuron < part.stop - part.start:
            raise UnknownName(
                f"{path}, row {number}: layer '{layer}' has neurons 0 to {part.stop - part.start - 1}, not {neuron}"
            )
        if not 0 <= weight <= _MOST_WEIGHT:
            raise UserError(f"{path}, row {number}: a weight is from 0 to {_MOST_WEIGHT:g}, not {weight}")
        if (layer, neuron) in seen:
            raise UserError(f"{path}, row {number}: {layer}:{neuron} is there twice")
        seen.add((layer, neuron))
        weights[part.start + neuron] = weight
    if not weights.any():
        raise UserError(f"{path} gives no neuron any weight")
    return weights


def require_name(name: str) -> str:
    """A name that a selection can have: the rules are those for datasets.

    Raises:
        ConfigError: when it cannot.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            f"'{name}' cannot be the name of a selection: it begins with a letter or a digit, and goes on with at most "
            "99 letters, digits, dots, dashes and underscores"
        )
    return name


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            columns = list(rows[0]) if rows else list(_COLUMNS)
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                rows, columns = list(reader), list(reader.fieldnames or [])
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if missing := set(_COLUMNS) - set(columns):
        raise UserError(f"{path} has no column {', '.join(sorted(missing))}; it takes layer, neuron and weight")
    return rows


def _fitting(project: ProjectFolder, record: SelectionRecord, layers: Layers, key: str | None, label: str) -> Selection:
    own = f"the selection {record.name}@{record.seq}"
    differences = layer_differences(Layers.from_key(record.layers), layers, own, label)
    if differences:
        raise Incomparable(f"{own} is of other layers than {label}:\n  " + "\n  ".join(differences))
    if record.comparability_key and record.comparability_key != key:
        raise Incomparable(
            f"{own} was learned from DNAs of {record.extractor} as it was measured then, and {label} is measured "
            "otherwise: learn it again"
        )
    return Selection(layers, project.lake.selections.weights(record))


def _versions(records: list[SelectionRecord]) -> str:
    return ", ".join(f"{record.name}@{record.seq}" for record in records) or "none"
