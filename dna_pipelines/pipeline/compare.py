"""Comparisons: the pairs of the matrix, and one pair in detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dna_pipelines.comparison import Comparison, LayerMeasures, compare, layer_distances, portions
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.errors import NothingToCompare, UserError
from dna_pipelines.pipeline.files import extractor_of, read_files
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.reference import Reference
from dna_pipelines.pipeline.selections import chosen_selection
from dna_pipelines.pipeline.slices import find_slice, fit_slice
from dna_pipelines.pipeline.versions import find_commit, used_extractor, wanted_pairs, withheld


@dataclass(frozen=True)
class PairsUpdated:
    """What updating the pairs of an extractor took."""

    extractor: str
    dnas: dict[str, str]
    """The id of the current DNA of each dataset that has one."""
    n_computed: int
    n_reused: int
    left_out: tuple[str, ...]
    """Watched datasets without a current DNA (empty, held back, or not yet fitted)."""


def update_pairs(project: Project, extractor: str, progress: Progress | None = None) -> PairsUpdated:
    """Compute the layer distances of every pair of current DNAs that lacks them."""
    store, key = project.lake.fingerprints, used_extractor(project, extractor).comparability_key
    current, changes, pairs, n_known = wanted_pairs(project, extractor)
    if pairs:
        record = store.dna_record(pairs[0][0])
        layers = Layers.from_key(record.layers if record else [])
        places = {name: place for place, name in enumerate(layers.names)}

        def measures(identity: str, layer: str) -> LayerMeasures:
            return LayerMeasures(*store.dna_layer(identity, places[layer]))

        with (progress or Silent()).task(f"comparing {extractor}", len(pairs) * len(layers)) as advance:
            # What is done is kept, whatever happens to the rest.
            for some in portions(pairs):
                project.lake.distances.put_layers(key, layer_distances(some, layers, measures, advance))
    project.lake.distances.note_complete(key, set(current.values()), changes)
    watched = [dataset.name for dataset in project.config().datasets]
    left_out = tuple(name for name in watched if name not in current)
    return PairsUpdated(extractor, current, len(pairs), n_known, left_out)


def compare_pair(
    project: Project,
    a: str,
    b: str,
    *,
    extractor: str | None = None,
    layers: Sequence[str] = (),
    neurons: Sequence[str] = (),
    selection: str | None = None,
    ranges: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Comparison, dict[str, Any]]:
    """Compare two datasets, versions or slices, keep their neuron distances, and sum up a selection.

    Args:
        project: where they are.
        a, b: see `reference`; or a VDNA file (.json). The DNA of a slice is made if it is missing.
        extractor: one of the project's; by default that of the file, if there is one, else the first.
        layers, neurons: see `Selection.of`.
        selection: instead of them, the name of a kept one.
        ranges: the activation ranges of VDNA files that do not say what they were binned with.
        progress: shows the images of slices being extracted.
    """
    if selection and (layers or neurons):
        raise UserError("name either a selection, or layers and neurons, and not both")
    files = read_files((a, b), ranges)
    name = extractor_of(project, files, (a, b), extractor)
    (left, new_a), (right, new_b) = (
        (files[reference], None) if reference in files else _dna(project, reference, name, progress)
        for reference in (a, b)
    )
    held_back = {
        reference: reason
        for reference in (a, b)
        if reference not in files and (reason := why_held_back(project, reference, name))
    }
    extracted = {reference: n_images for reference, n_images in ((a, new_a), (b, new_b)) if n_images is not None}
    comparison = compare(left, right)
    project.lake.distances.put_neurons(comparison)
    summary = comparison.summary(chosen_selection(project, left, layers, neurons, selection))
    return comparison, {"extractor": name, "n_images_extracted": extracted, "held_back": held_back, **summary}


def find_dna(project: Project, reference: str, extractor: str, progress: Progress | None = None) -> Dna:
    """The DNA of a dataset, version or slice; that of a slice is made if it is missing.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when it has no DNA.
    """
    return _dna(project, reference, extractor, progress)[0]


def why_held_back(project: Project, reference: str, extractor: str) -> str | None:
    """Why the matrix would not use the DNA of a dataset or version, or what a slice is cut from; None if it would."""
    commit = find_commit(project, reference)
    dataset = next((one for one in project.config().datasets if one.name == commit.dataset), None)
    return withheld(project, dataset, commit, extractor) if dataset else None


def _dna(project: Project, reference: str, extractor: str, progress: Progress | None) -> tuple[Dna, int | None]:
    """A DNA, and how many images were extracted for it; None if it was there."""
    named, store = Reference.parse(reference), project.lake.fingerprints
    if named.where:
        record, n_extracted = fit_slice(project, find_slice(project, named), extractor, progress)
        return store.dna(record.dna_id, reference), n_extracted
    commit = find_commit(project, named)
    if commit.n_images == 0:
        raise NothingToCompare(f"{reference} is empty: it has no readable image, so there is no DNA to compare")
    key = used_extractor(project, extractor).comparability_key
    identity = dna_id(key, commit.version_id)
    if store.dna_record(identity) is None:
        if reason := why_held_back(project, reference, extractor):
            raise NothingToCompare(f"{reference} has no DNA of {extractor}: it is held back: {reason}")
        if project.lake.versions.is_given_up(commit):
            raise NothingToCompare(f"{reference} was given up (`dna prune`), so it has no DNA any more")
        raise NothingToCompare(f"{reference} has no DNA of {extractor} yet; run `dna run`")
    return store.dna(identity, reference), None
