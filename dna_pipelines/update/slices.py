"""Slices: the images of a version whose metadata match, with a DNA of their own.

A slice is a multiset of images like a version, so that equal slices share one DNA. It is the sum of the
version's shards that lie wholly in it, and of new shards for the rest, which are extracted once.
"""

from __future__ import annotations

from dna_pipelines.config import DatasetConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import CheckFailed, NothingToCompare, SourceChanged
from dna_pipelines.manifests import ReadImage, Shard, slice_shards
from dna_pipelines.project.checks import blocked, check_manifest
from dna_pipelines.project.image_bytes import reader
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage import DnaRecord
from dna_pipelines.storage.removal import note_use


def fit_slice(
    project: ProjectFolder,
    images: ImageSet,
    extractor: str,
    progress: Progress | None = None,
    *,
    shard_size: int | None = None,
) -> tuple[DnaRecord, int | None]:
    """The DNA of a slice, extracting what is missing. If the DNA exists, no image is read.

    Args:
        project: where the images are.
        images: a slice or a sample.
        extractor: the name of one of the project's extractors that was used.
        progress: shows the images being extracted.
        shard_size: most images in a new shard; by default that of the dataset.

    Returns:
        The DNA's record, and how many images were extracted for it; None if the DNA existed.

    Raises:
        NothingToCompare: when images must be extracted and changed or vanished.
        Incomparable: when images must be extracted and the extractor changed since it was used last.
        CheckFailed: when a check blocks the dataset.
    """
    key = used_extractor(project, extractor).comparability_key
    if record := project.lake.fingerprints.dna_record(dna_id(key, images.id)):
        note_use(project.lake.layout.dna_record(record.dna_id))
        return record, None
    # Only what extracts needs torch.
    from dna_pipelines.update.calibration import ready_as
    from dna_pipelines.update.measure import measure

    dataset = _dataset(project, images)
    if reason := blocked(check_manifest(dataset, images.commit)):
        raise CheckFailed(
            f"a check blocks {dataset.name}: {reason}", code="check.blocked", dataset=dataset.name, reason=reason
        )
    latest = project.lake.versions.latest(dataset.name)
    manifest = project.lake.versions.manifest(images.commit)
    manifests = [manifest]
    if latest and latest.seq != images.commit.seq:
        # Images that were renamed since are found under their new names.
        manifests.append(project.lake.versions.manifest(latest))

    def cut() -> tuple[tuple[Shard, ...], ReadImage]:
        shards = slice_shards(images.items, manifest.shards, shard_size or dataset.shard_size)
        return shards, reader(project, dataset, *manifests)

    try:
        record, work = measure(project, ready_as(project, extractor, key), images, cut, progress=progress)
    except SourceChanged as error:
        raise NothingToCompare(
            f"{images.label} has images that must be extracted and can no longer be read: {error}",
            code="compare.images-changed",
            reference=images.label,
            path=error.facts.get("path"),
            cause=error.code,
        ) from error
    return record, work.n_images_extracted


def _dataset(project: ProjectFolder, images: ImageSet) -> DatasetConfig:
    name = images.dataset
    if any(dataset.name == name for dataset in project.config().datasets):
        return project.file.dataset(name)
    raise NothingToCompare(
        f"{images.label} has no DNA yet, and {name} is no longer in the datasets file, which says how to read it",
        code="compare.not-in-datasets-file",
        reference=images.label,
        dataset=name,
    )
