"""Comparisons: the pairs of the matrix, and one pair in detail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dna_pipelines.analysis.neuron_weights import chosen_selection
from dna_pipelines.comparison import Comparison, compare
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.vdna import extractor_of, read_files
from dna_pipelines.update.dnas import find_or_make_dna, why_held_back


def compare_pair(
    project: ProjectFolder,
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
        (files[reference], None) if reference in files else find_or_make_dna(project, reference, name, progress)
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
