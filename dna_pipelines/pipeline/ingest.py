"""Ingestion: from a dataset's place to a committed manifest."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import DnaError, SourceError
from dna_pipelines.identity import stable_hash
from dna_pipelines.manifests import Manifest, ManifestDiff, Scan, build_manifest, diff_manifests, scan_source
from dna_pipelines.manifests.scan import Metadata
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.sources.metadata import metadata_signature, read_metadata
from dna_pipelines.storage import Commit

_TRIES = 10


@dataclass(frozen=True)
class Look:
    """What a look at a dataset's place showed, before any new file is read."""

    dataset: DatasetConfig
    scan: Scan
    settings: str
    latest: Commit | None

    @property
    def is_current(self) -> bool:
        """Whether the last commit says all there is to say."""
        latest = self.latest
        # A file that may be readable by now is tried again, although nothing shows that it changed.
        if latest is None or latest.n_to_retry:
            return False
        return (latest.raw_version, latest.settings) == (self.scan.raw_version, self.settings)


@dataclass(frozen=True)
class Ingested:
    """What a refresh did."""

    commit: Commit
    manifest: Manifest
    diff: ManifestDiff
    was_current: bool


def look(project: Project, dataset: DatasetConfig) -> Look:
    """List a dataset and compare the listing with the last commit.

    Raises:
        SourceError: when its place cannot be reached.
    """
    versions = project.lake.versions
    latest = versions.latest(dataset.name)
    source = project.source(dataset)
    scan = scan_source(
        source, lambda: versions.manifest(latest) if latest else None, latest.n_unsettled if latest else 0
    )
    return Look(dataset, scan, _settings(project, dataset), latest)


def draft(project: Project, seen: Look, progress: Progress | None = None) -> tuple[Manifest, ManifestDiff]:
    """The manifest that a refresh would commit; writes nothing."""
    dataset, latest = seen.dataset, seen.latest
    previous = project.lake.versions.manifest(latest) if latest else None
    metadata = _metadata(project, dataset)
    source = project.source(dataset)
    if previous and latest and latest.uri != dataset.uri:
        # Elsewhere the same name and time prove nothing: every file is read again.
        previous = previous.forget_signatures()
    n_known = len(previous.rows) if previous else 0
    with (progress or Silent()).task(f"reading {dataset.name}", max(len(seen.scan.entries) - n_known, 0)) as advance:
        manifest = build_manifest(seen.scan, source, dataset, previous, metadata, on_progress=lambda *_: advance(1))
    return manifest, diff_manifests(previous, manifest)


def _metadata(project: Project, dataset: DatasetConfig) -> Metadata | None:
    if dataset.metadata is None:
        return None
    metadata = read_metadata(dataset.metadata, project.root)
    kind, _, column = (dataset.group_by or "").partition(":")
    if kind == "column" and metadata and not any(column in row for row in metadata.values()):
        raise SourceError(f"{dataset.metadata.uri} has no values in a column {column} to group by")
    return metadata


def refresh(project: Project, dataset: DatasetConfig, progress: Progress | None = None) -> Ingested:
    """Bring a dataset's manifest up to date and commit it.

    Two processes may do this at once: the commit that comes second is made anew on top of the first.

    Raises:
        SourceError: when the place cannot be reached; the last commit stays what it is.
    """
    lake = project.lake
    lake.prepare()
    for _ in range(_TRIES):
        looked_at_ns = time.time_ns()
        seen = look(project, dataset)
        if seen.is_current and seen.latest:
            lake.versions.point_at(seen.latest)
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(seen.latest, lake.versions.manifest(seen.latest), ManifestDiff(), was_current=True)
        manifest, diff = draft(project, seen, progress)
        latest = seen.latest
        taken_in = (manifest.id, seen.scan.raw_version, seen.settings)
        if latest and (latest.manifest_id, latest.raw_version, latest.settings) == taken_in:
            # What could not be read still cannot be.
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(latest, manifest, diff, was_current=True)
        commit = lake.versions.add(
            dataset.name,
            manifest,
            after=seen.latest.seq if seen.latest else 0,
            uri=dataset.uri,
            raw_version=seen.scan.raw_version,
            settings=seen.settings,
            changes=diff.counts(),
        )
        if commit:
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(commit, manifest, diff, was_current=False)
    raise DnaError(f"{dataset.name}: other writers committed {_TRIES} times meanwhile; run again")


def _settings(project: Project, dataset: DatasetConfig) -> str:
    """A hash of what in the datasets file decides the manifest."""
    chosen = dataset.model_dump(mode="json", include={"uri", "globs", "exclude", "group_by", "metadata", "shard_size"})
    if dataset.metadata:
        chosen["metadata_signature"] = metadata_signature(dataset.metadata, project.root)
    return stable_hash(chosen)
