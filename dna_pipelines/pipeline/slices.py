"""Slices: those images of a version whose metadata match, with a DNA of their own.

A slice is a multiset of images like a version, so that equal slices share one DNA. It is the sum of the
version's shards that lie wholly in it, and of new shards for the rest, which are extracted once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dna_pipelines.config import DatasetConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import CheckFailed, NothingToCompare, SourceChanged, UnknownName
from dna_pipelines.identity import Item, multiset_id
from dna_pipelines.manifests import ImageRow, Manifest, slice_shards
from dna_pipelines.pipeline.checks import blocked, check_manifest
from dna_pipelines.pipeline.progress import Progress
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.reference import Reference
from dna_pipelines.pipeline.versions import find_commit, used_extractor
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.removal import note_use

GROUP = "group"
"""What conditions call the group of an image, unless its metadata have a column of that name."""

_SHOWN = 8


@dataclass(frozen=True)
class Slice:
    """Some images of a version.

    Attributes:
        label: what messages and the record of its DNA call it.
        commit, manifest: of the version.
        rows: its images.
    """

    label: str
    commit: Commit
    manifest: Manifest
    rows: tuple[ImageRow, ...]

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """What the images are to the dataset; copies are several."""
        return tuple(row.item for row in self.rows)

    @cached_property
    def id(self) -> str:
        """The id of the multiset, which may well be that of another slice or of a whole version."""
        return multiset_id(self.items)


def find_slice(project: Project, reference: Reference) -> Slice:
    """The images of a version that a reference asks for.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when no image matches; the message lists the most frequent values.
    """
    commit = find_commit(project, reference.whole)
    manifest = project.lake.versions.manifest(commit)
    told = [(row, _told(row)) for row in manifest.readable]
    columns = {name for _, values in told for name in values}
    for condition in reference.where:
        if condition.column not in columns:
            there = ", ".join(sorted(columns)) or "none (add `metadata` to the dataset)"
            name = condition.column
            raise UnknownName(f"the images of {reference.whole} have no column '{name}'; they have: {there}")
    rows = tuple(row for row, values in told if all(one.holds(values) for one in reference.where))
    if not rows:
        raise NothingToCompare(_nobody(reference, [values for _, values in told]))
    return Slice(str(reference), commit, manifest, rows)


def values_of(project: Project, reference: Reference) -> dict[str, Counter[str]]:
    """By column of the metadata, how many images of a version or slice have each value.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when no image matches.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in find_slice(project, reference).rows:
        for column, value in _told(row).items():
            found[column][value] += 1
    return dict(found)


def fit_slice(
    project: Project, found: Slice, extractor: str, progress: Progress | None = None, *, shard_size: int | None = None
) -> tuple[DnaRecord, int | None]:
    """The DNA of a slice, extracting what is missing. If it is there, no image is touched.

    Args:
        project: where it is.
        found: see `find_slice`.
        extractor: one of the project's that was used.
        progress: shows the images being extracted.
        shard_size: most images in a new shard; by default that of the dataset.

    Returns:
        The DNA's record, and how many images were extracted for it; None if it was there.

    Raises:
        NothingToCompare: when images have to be extracted and are no longer there.
        Incomparable: when they have to be, and the extractor is no longer what it was when it was used last.
    """
    key = used_extractor(project, extractor).comparability_key
    if record := project.lake.fingerprints.dna_record(dna_id(key, found.id)):
        note_use(project.lake.layout.dna_record(record.dna_id))
        return record, None
    # Only what extracts needs torch.
    from dna_pipelines.pipeline.fingerprint import reader
    from dna_pipelines.pipeline.remeasure import ready_as
    from dna_pipelines.pipeline.version_dna import Version, measure

    dataset = _dataset(project, found)
    if withheld := blocked(check_manifest(dataset, found.commit)):
        raise CheckFailed(f"{dataset.name} is held back: {withheld}")
    latest = project.lake.versions.latest(dataset.name)
    manifests = [found.manifest]
    if latest and latest.seq != found.commit.seq:
        # Images that were renamed since are found under their new names.
        manifests.append(project.lake.versions.manifest(latest))
    version = Version(
        found.label,
        found.id,
        len(found.items),
        lambda: (
            slice_shards(found.items, found.manifest.shards, shard_size or dataset.shard_size),
            reader(project, dataset, *manifests),
        ),
    )
    try:
        record, work = measure(project, ready_as(project, extractor, key), version, progress)
    except SourceChanged as error:
        raise NothingToCompare(
            f"{found.label} has images that lie in no shard of their own yet, and cannot be read any more: {error}"
        ) from error
    return record, work.n_images_extracted


def _dataset(project: Project, found: Slice) -> DatasetConfig:
    name = found.commit.dataset
    if any(dataset.name == name for dataset in project.config().datasets):
        return project.file.dataset(name)
    raise NothingToCompare(
        f"{found.label} has no DNA yet, and {name} is no longer in the datasets file, which says how it is read"
    )


def _told(row: ImageRow) -> Mapping[str, str]:
    values = dict(row.metadata or {})
    if row.group is not None:
        values.setdefault(GROUP, row.group)
    return values


def _nobody(reference: Reference, told: list[Mapping[str, str]]) -> str:
    frequent = []
    for column in dict.fromkeys(condition.column for condition in reference.where):
        counted = Counter(values[column] for values in told if column in values)
        shown = ", ".join(f"{value} ({count:,})" for value, count in counted.most_common(_SHOWN))
        more = f" and {len(counted) - _SHOWN:,} more" if len(counted) > _SHOWN else ""
        frequent.append(f"\n  {column}: {shown}{more}")
    what = " and ".join(map(str, reference.where))
    return f"no image of {reference.whole} has {what}. The most frequent values are:{''.join(frequent)}"
