"""Staleness: whether a location changed, and what in the lake is not up to date with the last scan result.

Every answer comes from the lake, so a lost event loses nothing: asking later gives the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from dna_pipelines.config import DatasetConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.checks import blocked, check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit
from dna_pipelines.storage.records import ScanResult
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.pairs import matrix_id, wanted_pairs

Stale = dict[str, str]
"""By partition: the id of the input that it is not up to date with."""


def scan(project: ProjectFolder, dataset: DatasetConfig) -> ScanResult | None:
    """List a dataset's location and record the result, if it shows a change.

    Raises:
        SourceError: when the location cannot be reached.
    """
    at_ns = time.time_ns()
    listing = list_location(project, dataset)
    if listing.is_current:
        return None
    raw_version, n_files = listing.scan.raw_version, len(listing.scan.entries)
    result = ScanResult(raw_version=raw_version, settings=listing.settings, n_files=n_files, at_ns=at_ns)
    versions = project.lake.versions
    before = versions.scan_result(dataset.name)
    if before and before.at_ns > versions.refreshed_at_ns(dataset.name) and _same(before, result):
        # This result is recorded already, and no refresh has listed the location since.
        return None
    project.lake.prepare()
    versions.put_scan_result(dataset.name, result)
    return result


def _same(result: ScanResult, other: ScanResult) -> bool:
    return (result.raw_version, result.settings) == (other.raw_version, other.settings)


@dataclass(frozen=True)
class Needs:
    """What in the lake is not up to date, at one moment. Extractors and assets that need nothing do not occur."""

    manifests: Stale
    """Datasets whose location differed from the last commit in a scan that is later than the last refresh."""
    ranges: dict[str, str]
    """Extractors that were never used, or may have changed since, once there is an image."""
    dnas: dict[str, Stale]
    """Datasets whose last commit has no DNA, except those that wait for a manifest or that a check blocks."""
    distances: dict[str, str]
    """Extractors of whose pairs some are not compared yet."""
    matrix: dict[str, str]
    """Extractors whose matrix is not drawn as it is now, or as it will be once the pairs are compared."""


def needs(project: ProjectFolder) -> Needs:
    """What in the lake is not up to date; reads no image and no location."""
    config, store = project.config(), project.lake.fingerprints
    commits = {entry.name: project.lake.versions.latest(entry.name) for entry in config.datasets}
    manifests = _stale_manifests(project, commits)
    any_image = any(commit and commit.n_images for commit in commits.values())
    stale = Needs(manifests, {}, {}, {}, {})
    for extractor in config.extractors:
        name, record, token = extractor.name, store.extractor(extractor.name), extractor_change_token(extractor)
        if record is None or not store.is_known(name, token):
            if any_image:
                stale.ranges[name] = token
            continue
        ready = {dataset.name: dataset for dataset in config.datasets if dataset.name not in manifests}
        stale.dnas[name] = _missing_dnas(project, ready, commits, record.comparability_key)
        pairs = wanted_pairs(project, name)
        if pairs.missing:
            stale.distances[name] = stable_hash(pairs.missing)
        if not (_coming(project, "manifest", manifests) or _coming(project, f"{name}/dna", stale.dnas[name])):
            wanted = matrix_id(pairs)
            if pairs.missing or wanted != project.lake.distances.drawn(name):
                stale.matrix[name] = wanted
    return stale


def manifest_input(result: ScanResult | None) -> str:
    """The id of what a manifest is to be brought up to date with."""
    return stable_hash([result.raw_version, result.settings]) if result else ""


def dna_input(project: ProjectFolder, extractor: str, dataset: str) -> str:
    """The id of the DNA that a dataset should have; empty while that is not known."""
    record, commit = project.lake.fingerprints.extractor(extractor), project.lake.versions.latest(dataset)
    return dna_id(record.comparability_key, commit.version_id) if record and commit else ""


def _stale_manifests(project: ProjectFolder, commits: Mapping[str, Commit | None]) -> Stale:
    versions, stale = project.lake.versions, {}
    for name, latest in commits.items():
        result = versions.scan_result(name)
        if result is None or result.at_ns <= versions.refreshed_at_ns(name):
            continue
        committed = (latest.raw_version, latest.settings) if latest else None
        if committed != (result.raw_version, result.settings) or (latest and latest.n_to_retry):
            stale[name] = manifest_input(result)
    return stale


def _coming(project: ProjectFolder, asset: str, stale: Stale) -> bool:
    """Whether a run will soon make something. The matrix is drawn after it, but does not wait for what fails."""
    last = (project.lake.attempts.last(asset, dataset) for dataset in stale)
    return any(attempt is None or attempt.problem is None for attempt in last)


def _missing_dnas(
    project: ProjectFolder, ready: Mapping[str, DatasetConfig], commits: Mapping[str, Commit | None], key: str
) -> Stale:
    missing = {}
    for name, dataset in ready.items():
        commit = commits[name]
        if commit is None or commit.n_images == 0:
            continue
        identity = dna_id(key, commit.version_id)
        if not project.lake.fingerprints.dna_record(identity) and not blocked(check_manifest(dataset, commit)):
            missing[name] = identity
    return missing
