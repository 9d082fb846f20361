"""The DNA of a dataset, a version or a slice; that of a slice is computed if it is missing."""

from __future__ import annotations

from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.project.current import withheld
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import find_commit, used_extractor
from dna_pipelines.project.slices import find_slice
from dna_pipelines.update.slices import fit_slice


def find_dna(project: ProjectFolder, reference: str, extractor: str, progress: Progress | None = None) -> Dna:
    """The DNA of a dataset, version or slice; that of a slice is made if it is missing.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when it has no DNA.
    """
    return find_or_make_dna(project, reference, extractor, progress)[0]


def why_held_back(project: ProjectFolder, reference: str, extractor: str) -> str | None:
    """Why the matrix would not use the DNA of a dataset or version, or what a slice is cut from; None if it would."""
    commit = find_commit(project, reference)
    dataset = next((one for one in project.config().datasets if one.name == commit.dataset), None)
    return withheld(project, dataset, commit, extractor) if dataset else None


def find_or_make_dna(
    project: ProjectFolder, reference: str, extractor: str, progress: Progress | None
) -> tuple[Dna, int | None]:
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
