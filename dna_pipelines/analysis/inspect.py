"""The traits of one DNA, and the neurons whose state differs between two."""

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
    """The traits of the DNA of a dataset, version or slice.

    Attributes:
        reference: its label.
        extractor: the name of the extractor.
        n_images: the number of its images.
        layers: the traits of every layer.
        neurons: by state, the neurons in that state, as `layer:3,17`.
    """

    reference: str
    extractor: str
    n_images: int
    layers: list[LayerTraits]
    neurons: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {**vars(self), "layers": [layer.to_json() for layer in self.layers]}


@dataclass(frozen=True)
class Changed:
    """Two DNAs, and the neurons whose state differs.

    Attributes:
        before, after: the traits of both.
        changes: by kind of change, the neurons that changed, as `layer:3,17`.
    """

    before: Inspected
    after: Inspected
    changes: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"before": self.before.to_json(), "after": self.after.to_json(), "changes": self.changes}


def inspect(
    project: ProjectFolder, reference: str, *, extractor: str | None = None, progress: Progress | None = None
) -> Inspected:
    """The traits of the DNA of a dataset, version or slice. The DNA of a slice is computed if it is missing."""
    name = project.extractor_name(extractor)
    return _inspected(project, find_dna(project, reference, name, progress), name)


def inspect_change(
    project: ProjectFolder, before: str, after: str, *, extractor: str | None = None, progress: Progress | None = None
) -> Changed:
    """The traits of two DNAs, and the neurons whose state differs from the first to the second.

    Raises:
        Incomparable: when they were not measured the same way.
    """
    name = project.extractor_name(extractor)
    old, new = (find_dna(project, reference, name, progress) for reference in (before, after))
    require_comparable(old, new)
    changed = became(NeuronTraits.of(old.histogram), NeuronTraits.of(new.histogram))
    changes = {change: neurons_of(new.layers, chosen) for change, chosen in changed}
    return Changed(_inspected(project, old, name), _inspected(project, new, name), changes)


def _inspected(project: ProjectFolder, dna: Dna, extractor: str) -> Inspected:
    record, traits = project.lake.fingerprints.dna_record(dna.id), NeuronTraits.of(dna.histogram)
    return Inspected(
        dna.label,
        extractor,
        record.n_images if record else int(np.max(dna.moments.n_images, initial=0)),
        layer_traits(dna.layers, dna.histogram, dna.moments),
        {state: neurons_of(dna.layers, getattr(traits, state)) for state in STATES},
    )
