"""Named selections of neurons: chosen by hand or read from a file, stored in versions, and looked up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dna_pipelines.analysis.selections.weights_file import read_weights
from dna_pipelines.comparison import Selection
from dna_pipelines.config.values import is_name
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import Comparable, Dna, layer_differences
from dna_pipelines.errors import ConfigError, Incomparable, UnknownName, UserError
from dna_pipelines.identity import digest_of
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor, used_ranges
from dna_pipelines.storage.records import SelectionRecord


def save_selection(
    project: ProjectFolder,
    name: str,
    *,
    extractor: str | None = None,
    layers: Sequence[str] = (),
    neurons: Sequence[str] = (),
    weights: Path | None = None,
) -> SelectionRecord:
    """Store neurons chosen by hand, or weights from a file, as the next version of a selection.

    Args:
        project: the project in whose lake it is stored.
        name: the name of the selection.
        extractor: the extractor whose layers are meant; by default the first of the project.
        layers, neurons: see `Selection.of`.
        weights: instead of them, a table (.csv or .parquet) with the columns layer, neuron and weight; neurons without
            a row get 0.

    Raises:
        UserError: when neither or both ways are given, or the table is wrong.
        ConfigError: when a selection cannot have that name.
        UnknownName: when there is no such layer or neuron.
    """
    require_name(name)
    extractor = project.extractor_name(extractor)
    own_layers = used_ranges(project, extractor).layers
    if (weights is None) == (not layers and not neurons):
        raise UserError(
            "name the neurons either by layers and neurons (--layer, --neuron), or by weights (--weights FILE)",
            code="selection.no-neurons",
        )
    if weights is None:
        chosen = Selection.of(own_layers, layers, neurons)
        how: dict[str, Any] = {"made_by": "hand", "layers": list(layers), "neurons": list(neurons)}
    else:
        chosen = Selection(own_layers, read_weights(weights, own_layers))
        how = {"made_by": "file", "file": weights.name, "sha256": digest_of(weights.read_bytes())}
    return project.lake.selections.put(
        name, own_layers, chosen.weights, extractor=extractor, comparability_key=None, how=how
    )


def remove_selection(project: ProjectFolder, name: str) -> SelectionRecord:
    """Mark a selection as removed. Its versions remain available as NAME@VERSION."""
    find_record(project, require_name(name))
    return project.lake.selections.put_removed(name)


def list_selections(project: ProjectFolder) -> list[SelectionRecord]:
    """The current version of every selection that is not removed."""
    last = [project.lake.selections.history(name)[-1:] for name in project.lake.selections.names()]
    return [records[0] for records in last if records and not records[0].removed]


def find_record(project: ProjectFolder, reference: str) -> SelectionRecord:
    """The version of a selection that NAME or NAME@3 names.

    Raises:
        UnknownName: when there is no such selection or version, or NAME was removed.
    """
    name, at, version = reference.partition("@")
    history = project.lake.selections.history(name) if is_name(name) else []
    if not history:
        known = [record.name for record in list_selections(project)]
        names = ", ".join(known) or "none (project.select() or `dna select save` creates one)"
        raise UnknownName(
            f"there is no selection '{name}'; the selections are: {names}",
            code="name.selection",
            name=name,
            known=known,
        )
    versions = [record for record in history if not record.removed]
    if not at:
        if history[-1].removed:
            raise UnknownName(
                f"the selection '{name}' was removed; its versions are: {_listed(versions)}",
                code="name.selection-removed",
                name=name,
                known=[record.seq for record in versions],
            )
        return history[-1]
    named = [record for record in versions if str(record.seq) == version]
    if not named:
        raise UnknownName(
            f"the selection '{name}' has no version '{version}'; its versions are: {_listed(versions)}",
            code="name.selection-version",
            name=name,
            version=version,
            known=[record.seq for record in versions],
        )
    return named[0]


def find_selection(project: ProjectFolder, reference: str, dna: Comparable) -> Selection:
    """A stored selection, for a DNA that it fits.

    Raises:
        UnknownName: when there is no such selection.
        Incomparable: when the DNA has other layers, or the weights were learned from DNAs of another key.
    """
    record = find_record(project, reference)
    key = dna.key.id if isinstance(dna, Dna) else None
    return _fitting(project, record, dna.layers, key, dna.label)


def chosen_selection(
    project: ProjectFolder, dna: Comparable, layers: Sequence[str], neurons: Sequence[str], stored: str | None
) -> Selection:
    """The neurons of a DNA that count: a stored selection by name, or layers and neurons; by default all of them."""
    return find_selection(project, stored, dna) if stored else Selection.of(dna.layers, layers, neurons)


def extractor_selection(project: ProjectFolder, reference: str, extractor: str) -> Selection:
    """A stored selection, for the DNAs of an extractor as they are measured now; raises as `find_selection` does."""
    layers, key = used_ranges(project, extractor).layers, used_extractor(project, extractor).comparability_key
    return _fitting(project, find_record(project, reference), layers, key, extractor)


def require_name(name: str) -> str:
    """A name that a selection can have, by the rules for names of datasets.

    Raises:
        ConfigError: when a selection cannot have it.
    """
    if not is_name(name):
        raise ConfigError(
            f"'{name}' cannot be the name of a selection: use at most 100 letters, digits, dots, dashes and "
            "underscores, and begin with a letter or a digit",
            code="selection.bad-name",
            name=name,
        )
    return name


def _fitting(project: ProjectFolder, record: SelectionRecord, layers: Layers, key: str | None, label: str) -> Selection:
    own = f"the selection {record.name}@{record.seq}"
    differences = layer_differences(Layers.from_key(record.layers), layers, own, label)
    if differences:
        raise Incomparable(
            f"{own} has other layers than {label}:\n  " + "\n  ".join(differences),
            code="selection.other-layers",
            name=record.name,
            version=record.seq,
            differences=differences,
        )
    if record.comparability_key and record.comparability_key != key:
        raise Incomparable(
            f"{own} was learned from DNAs of {record.extractor} that were measured differently than those of {label}; "
            "learn it again",
            code="selection.other-key",
            name=record.name,
            version=record.seq,
            extractor=record.extractor,
        )
    return Selection(layers, project.lake.selections.weights(record))


def _listed(records: list[SelectionRecord]) -> str:
    return ", ".join(f"{record.name}@{record.seq}" for record in records) or "none"
