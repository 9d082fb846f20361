"""The DNA of a dataset, a version or a slice; that of a slice is computed if it is missing."""

from __future__ import annotations

from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.project.current import blocked_commit
from dna_pipelines.project.image_set import ImageSet, StoredImageSet, resolve_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage import DnaRecord
from dna_pipelines.update.slices import fit_slice


def find_dna(
    project: ProjectFolder, images: str | StoredImageSet, extractor: str, progress: Progress | None = None
) -> Dna:
    """The DNA of a dataset, version or slice; that of a slice is computed if it is missing.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when it has no DNA.
    """
    resolved = resolve_image_set(project, images)
    record, _ = find_record(project, resolved, extractor, progress)
    return project.lake.fingerprints.dna(record.dna_id, resolved.label)


def why_blocked(project: ProjectFolder, images: ImageSet, extractor: str) -> str | None:
    """Why a check blocks the images, or the version that a slice is cut from, in the matrix; None if no check does."""
    dataset = next((dataset for dataset in project.config().datasets if dataset.name == images.dataset), None)
    return blocked_commit(project, dataset, images.commit, extractor) if dataset else None


def find_record(
    project: ProjectFolder, images: ImageSet, extractor: str, progress: Progress | None = None
) -> tuple[DnaRecord, int | None]:
    """The record of a DNA, and how many images were extracted for it; None if the DNA existed.

    Raises:
        NothingToCompare: when it has no DNA.
    """
    if images.kind != "version":
        return fit_slice(project, images, extractor, progress)
    key = used_extractor(project, extractor).comparability_key
    if record := project.lake.fingerprints.dna_record(dna_id(key, images.id)):
        return record, None
    raise _no_dna(project, images, extractor)


def _no_dna(project: ProjectFolder, images: ImageSet, extractor: str) -> NothingToCompare:
    facts = {"reference": images.label, "extractor": extractor}
    if reason := why_blocked(project, images, extractor):
        return NothingToCompare(
            f"{images.label} has no DNA of {extractor}: a check blocks it: {reason}",
            code="compare.blocked",
            reason=reason,
            **facts,
        )
    if project.lake.versions.is_pruned(images.commit):
        return NothingToCompare(
            f"{images.label} was pruned (`dna prune`), so it has no DNA any more", code="compare.pruned", **facts
        )
    return NothingToCompare(
        f"{images.label} has no DNA of {extractor} yet; call project.update() or run `dna run`",
        code="compare.no-dna",
        **facts,
    )
