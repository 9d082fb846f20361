"""Ingestion: from the listing of a dataset's location to a committed manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import DnaError, LakeError
from dna_pipelines.identity import Item
from dna_pipelines.imaging import CHANGED, RULES
from dna_pipelines.manifests import Manifest, ManifestDiff, Shard, build_manifest, diff_manifests, with_folder_tables
from dna_pipelines.manifests.manifest import OK, VANISHED
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import location_id
from dna_pipelines.sources.failures import only_own_errors
from dna_pipelines.sources.metadata import read_metadata
from dna_pipelines.storage import Commit
from dna_pipelines.update.listing import Listing, list_location, manifest_of, settings_id, table_options
from dna_pipelines.update.remarks import remark_on

_TRIES = 10
_LOOK_BACK = 8
"""How many commits of a dataset are searched for shards to reuse."""


class Draft(NamedTuple):
    """What a refresh would commit."""

    manifest: Manifest
    diff: ManifestDiff
    remark: str


@dataclass(frozen=True)
class Ingested:
    """What a refresh did."""

    commit: Commit
    manifest: Manifest
    diff: ManifestDiff
    was_current: bool


def draft(project: ProjectFolder, listing: Listing, progress: Progress | None = None) -> Draft:
    """What a refresh would commit; commits nothing.

    Raises:
        SourceError: when the metadata table cannot be read, or no image has a value in the column of `group_by`.
    """
    dataset, latest = listing.dataset, listing.latest
    before = manifest_of(project, latest)
    previous = _of_value(before, latest, dataset) if before and latest else None
    n_known = len(previous.rows) if previous else 0
    n_new = max(len(listing.scan.entries) - n_known, 0)
    with only_own_errors(dataset.uri), (progress or Silent()).task(f"reading {dataset.name}", n_new) as advance:
        metadata = read_metadata(dataset.metadata, project.root, table_options(dataset)) if dataset.metadata else None
        source = project.source(dataset)
        scan = with_folder_tables(listing.scan, source, dataset)
        manifest = build_manifest(
            scan,
            source,
            dataset,
            previous,
            metadata,
            on_progress=lambda *_: advance(1),
            known_shards=partial(_known_shards, project, dataset.name),
        )
    remark = remark_on(dataset, scan, metadata or {}, manifest)
    return Draft(manifest, diff_manifests(before, manifest), remark)


def _of_value(before: Manifest, commit: Commit, dataset: DatasetConfig) -> Manifest:
    """A manifest without what it no longer proves of the files."""
    if commit.place != location_id(dataset):
        # At another location the same name and time prove nothing: every file is read again.
        before = before.forget_signatures()
    if commit.reading != _declared(dataset):
        return before.forget(lambda _: True)
    if commit.rules != RULES:
        return before.forget(lambda row: row.status != OK or CHANGED.get(row.format or "", 0) > commit.rules)
    return before


def _declared(dataset: DatasetConfig) -> dict[str, Any]:
    """What decides the rows of unchanged files besides the rules."""
    return {**dataset.reading, "pages": dataset.pages} if dataset.pages else dataset.reading


def changes_since(project: ProjectFolder, dataset: str, before: Commit | None) -> dict[str, int]:
    """Counts of the difference between a dataset now and at an earlier commit, whatever was committed in between.

    Raises:
        LakeError: when the manifest of the last commit is lost or damaged.
    """
    latest = project.lake.versions.latest(dataset)
    now = project.lake.versions.manifest(latest) if latest else None
    return diff_manifests(manifest_of(project, before), now).counts() if now else {}


def refresh(
    project: ProjectFolder, dataset: DatasetConfig, progress: Progress | None = None, listed: Listing | None = None
) -> Ingested:
    """Bring a dataset's manifest up to date and commit it.

    Two processes may do this at once: the one that commits second builds its manifest again on top of the first.

    Args:
        project: where the dataset is.
        dataset: its entry in the datasets file.
        progress: shows the files that are read.
        listed: an earlier listing of the location in the same run. It is used unless something has happened since
            that would make it wrong; then the location is listed again.

    Raises:
        SourceError: when the location cannot be reached; the last commit stays what it is.
        DnaError: when other processes commit to the dataset again and again.
    """
    lake = project.lake
    lake.prepare()
    for _ in range(_TRIES):
        listing, listed = _still_valid(project, dataset, listed), None
        reused = listing is not None
        listing = listing or list_location(project, dataset)
        latest = listing.latest
        if listing.is_current and latest and (known := manifest_of(project, latest)):
            lake.versions.point_at(latest)
            lake.versions.put_refreshed(dataset.name, listing.began_ns)
            return Ingested(latest, known, ManifestDiff(), was_current=True)
        manifest, diff, remark = draft(project, listing, progress)
        if reused and any(row.reason == VANISHED for row in manifest.quarantined):
            # A reused listing is older than a fresh one would be: files that vanished since are listed once more.
            continue
        inputs = (manifest.id, listing.scan.raw_version, listing.settings)
        if latest and (latest.manifest_id, latest.raw_version, latest.settings) == inputs:
            # What could not be read still cannot be; or the manifest was lost, and is as it was.
            lake.versions.put_manifest(dataset.name, manifest)
            lake.versions.put_refreshed(dataset.name, listing.began_ns)
            return Ingested(latest, manifest, diff, was_current=True)
        commit = lake.versions.add(
            dataset.name,
            manifest,
            after=latest.seq if latest else 0,
            uri=without_credentials(dataset.uri),
            place=location_id(dataset),
            rules=RULES,
            reading=_declared(dataset),
            raw_version=listing.scan.raw_version,
            settings=listing.settings,
            changes=diff.counts(),
            remark=remark,
        )
        if commit:
            lake.versions.put_refreshed(dataset.name, listing.began_ns)
            return Ingested(commit, manifest, diff, was_current=False)
    raise DnaError(
        f"{dataset.name}: other processes committed {_TRIES} times during this refresh; run again",
        code="dataset.other-writers",
        dataset=dataset.name,
        n_tries=_TRIES,
    )


def _still_valid(project: ProjectFolder, dataset: DatasetConfig, listed: Listing | None) -> Listing | None:
    """An earlier listing, unless another process committed or listed since, or the settings changed."""
    if listed is None or listed.dataset != dataset or listed.settings != settings_id(project, dataset):
        return None
    versions = project.lake.versions
    latest = versions.latest(dataset.name)
    same_commit = (latest and latest.seq) == (listed.latest and listed.latest.seq)
    return listed if same_commit and versions.refreshed_at_ns(dataset.name) <= listed.began_ns else None


def _known_shards(project: ProjectFolder, dataset: str, items: Sequence[Item]) -> Iterator[Shard]:
    """Measured shards that these images may fill: of earlier commits of the dataset, and of the other datasets.

    So a copy of a dataset with more images, a union of several, and images that come back cost only what is new.
    """
    # Of older commits all manifests would have to be read.
    commits = (commit for commit in _commits(project, dataset) if all(shard.smallest for shard in commit.shards))
    return project.lake.versions.shards_among(commits, {item.digest for item in items})


def _commits(project: ProjectFolder, dataset: str) -> Iterator[Commit]:
    """The most recent commits of a dataset, and the last commit of every other dataset in the lake."""
    versions = project.lake.versions
    for name in (dataset, *(other for other in versions.datasets() if other != dataset)):
        try:
            yield from reversed(versions.history(name, _LOOK_BACK if name == dataset else 1))
        except LakeError:
            # A command that needs the damaged commit reports it.
            continue
