"""The comparison of one pair of datasets, versions, slices or VDNA files, and its significance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dna_pipelines.analysis.selections.stored import chosen_selection
from dna_pipelines.analysis.significance.measurements import LakeMeasurements
from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS, pair_significance
from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.comparison import Comparison, Selection, compare
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.dna import Comparable
from dna_pipelines.errors import UserError
from dna_pipelines.project.image_set import StoredImageSet, resolve_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.vdna import extractor_of, read_files
from dna_pipelines.storage.files import if_writable
from dna_pipelines.update.dnas import find_record, why_blocked


@dataclass(frozen=True, eq=False)
class PairComparison:
    """The distances of two sides.

    Attributes:
        a, b: the images of both sides; None where a side is a VDNA file.
        extractor: the name of the extractor.
        comparison: the distances of every neuron and layer.
        selection: the neurons that count.
        n_images_extracted: by label, the number of images of each side whose DNA was computed for the comparison.
        blocked: by label, the reason why a check blocks a side, whose DNA the matrix excludes then.
        not_stored: why the distances could not be stored; empty where they were.
    """

    a: StoredImageSet | None
    b: StoredImageSet | None
    extractor: str
    comparison: Comparison
    selection: Selection
    n_images_extracted: dict[str, int]
    blocked: dict[str, str]
    not_stored: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "extractor": self.extractor,
            "n_images_extracted": self.n_images_extracted,
            "blocked": self.blocked,
            # An alias of the release before.
            "held_back": self.blocked,
            **self.comparison.summary(self.selection),
        }


def compare_pair(
    project: ProjectFolder,
    a: str | StoredImageSet,
    b: str | StoredImageSet,
    *,
    extractor: str | None = None,
    layers: Sequence[str] = (),
    neurons: Sequence[str] = (),
    selection: str | None = None,
    ranges: Path | None = None,
    progress: Progress | None = None,
) -> PairComparison:
    """Compare two sides, and store the distances of their neurons where the lake can be written.

    Args:
        project: the project of the datasets.
        a, b: datasets, versions or slices, see `project.reference`; or VDNA files (.json). The DNA of a slice is
            computed if it is missing.
        extractor: the name of one of its extractors; by default that of a file, or the first.
        layers, neurons: see `Selection.of`.
        selection: instead of them, the name of a stored selection.
        ranges: a file with the activation ranges of VDNA files that do not contain them.
        progress: shows the images of slices being extracted.

    Raises:
        UnknownName: when there is no such dataset, version, column, layer or neuron.
        NothingToCompare: when a side has no DNA.
        Incomparable: when the sides were not measured the same way.
        UserError: when both a selection and layers or neurons are given.
    """
    if selection and (layers or neurons):
        raise UserError("name either a selection, or layers and neurons", code="selection.and-layers", name=selection)
    names = [side if isinstance(side, str) else side.label for side in (a, b)]
    files = read_files([side for side in (a, b) if isinstance(side, str)], ranges)
    extractor = extractor_of(project, files, names, extractor)
    sides: list[StoredImageSet | None] = []
    dnas: list[Comparable] = []
    extracted: dict[str, int] = {}
    blocked: dict[str, str] = {}
    for name, side in zip(names, (a, b), strict=True):
        if name in files:
            sides.append(None)
            dnas.append(files[name])
            continue
        images = resolve_image_set(project, side)
        record, n_images = find_record(project, images, extractor, progress)
        sides.append(images)
        dnas.append(project.lake.fingerprints.dna(record.dna_id, images.label))
        if n_images is not None:
            extracted[name] = n_images
        if reason := why_blocked(project, images, extractor):
            blocked[name] = reason
    comparison = compare(dnas[0], dnas[1])
    chosen = chosen_selection(project, dnas[0], layers, neurons, selection)
    not_stored = if_writable(lambda: project.lake.distances.put_neurons(comparison))
    return PairComparison(sides[0], sides[1], extractor, comparison, chosen, extracted, blocked, not_stored)


def significance_of(
    project: ProjectFolder,
    pair: PairComparison,
    *,
    n_permutations: int = N_PERMUTATIONS,
    progress: Progress | None = None,
) -> SignificanceResult:
    """Test the distance of a pair.

    Args:
        project: the project of the datasets.
        pair: see `compare_pair`.
        n_permutations: the number of permutations.
        progress: shows the images of a sample being extracted, and the neurons being tested.
    """
    left, right = pair.comparison.a, pair.comparison.b
    if pair.a is None or pair.b is None:
        file = left.label if pair.a is None else right.label
        why = NotTested("significance.file", f"{file} is a VDNA file and has no blocks to permute", {"file": file})
        return SignificanceResult(None, why, a=left.label, b=right.label)
    measured = LakeMeasurements(project, left.key.id, pair.extractor, progress)
    return pair_significance(measured, pair.a, pair.b, pair.selection, n_permutations, progress)
