"""What the DNA of one dataset says about it, and which neurons changed their state between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dna_pipelines.dna import Dna, require_comparable
from dna_pipelines.dna.traits import STATES, LayerTraits, NeuronTraits, became, layer_traits, neurons_of
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.dnas import find_dna


@dataclass(frozen=True)
class Inspected:
    """One dataset, version or slice."""

    reference: str
    extractor: str
    n_images: int
    layers: list[LayerTraits]
    neurons: dict[str, list[str]]
    """By state the neurons that are in it, as `layer:3,17`."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {**vars(self), "layers": [layer.to_json() for layer in self.layers]}


@dataclass(frozen=True)
class Changed:
    """What became of neurons between two."""

    before: Inspected
    after: Inspected
    changes: dict[str, list[str]]
    """By what happened, the neurons it happened to, as `layer:3,17`."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"before": self.before.to_json(), "after": self.after.to_json(), "changes": self.changes}


def inspect(
    project: ProjectFolder, reference: str, *, extractor: str | None = None, progress: Progress | None = None
) -> Inspected:
    """Look at the DNA of a dataset, version or slice; that of a slice is made if it is missing."""
    name = project.extractor_name(extractor)
    return _look(project, find_dna(project, reference, name, progress), name)


def inspect_change(
    project: ProjectFolder, before: str, after: str, *, extractor: str | None = None, progress: Progress | None = None
) -> Changed:
    """Look at two of them, and at what neurons became from the first to the second.

    Raises:
        Incomparable: when they were not measured the same way.
    """
    name = project.extractor_name(extractor)
    old, new = (find_dna(project, reference, name, progress) for reference in (before, after))
    require_comparable(old, new)
    happened = became(NeuronTraits.of(old.histogram), NeuronTraits.of(new.histogram))
    changes = {what: neurons_of(new.layers, chosen) for what, chosen in happened}
    return Changed(_look(project, old, name), _look(project, new, name), changes)


def _look(project: ProjectFolder, dna: Dna, extractor: str) -> Inspected:
    record, each = project.lake.fingerprints.dna_record(dna.id), NeuronTraits.of(dna.histogram)
    return Inspected(
        dna.label,
        extractor,
        record.n_images if record else int(np.max(dna.moments.n_images, initial=0)),
        layer_traits(dna.layers, dna.histogram, dna.moments),
        {state: neurons_of(dna.layers, getattr(each, state)) for state in STATES},
    )
