"""Fingerprints: activation ranges, partials and DNAs, computing only what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.dna import ActivationRanges, calibration_sample
from dna_pipelines.errors import (
    CheckFailed,
    NothingToCompare,
    SourceChanged,
    SourceError,
    UnknownName,
    Unreadable,
    UserError,
)
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.registry import builder_of
from dna_pipelines.extraction.stamp import extractor_stamp
from dna_pipelines.extraction.stream import ReadImage
from dna_pipelines.identity import digest_of
from dna_pipelines.manifests import Manifest, Shard
from dna_pipelines.pipeline.checks import blocked, check_manifest
from dna_pipelines.pipeline.files import imported_ranges, require_configured
from dna_pipelines.pipeline.loading import load, load_all
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.version_dna import Calibrated, Version, Work, measure
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.records import ExtractorRecord
from dna_pipelines.storage.versions import now

_LOOK_BACK = 8
"""How many commits back an earlier DNA is looked for to add to."""


@dataclass(frozen=True)
class Fitted:
    """What fitting one DNA came to. `record` is None for an empty dataset."""

    dataset: str
    extractor: str
    commit: Commit
    record: DnaRecord | None
    comparability_key: str
    work: Work
    duration_s: float = 0.0


def ensure_ranges(
    project: Project,
    config: ExtractorConfig,
    progress: Progress | None = None,
    *,
    anew: bool = False,
    on: Sequence[str] = (),
    file: str | None = None,
) -> tuple[ActivationRanges, bool]:
    """The activation ranges of an extractor, made if it has none (or if asked to).

    Args:
        project: where the extractor is used.
        config: the extractor.
        progress: shows the calibration.
        anew: replace ranges that exist.
        on: datasets to measure them on, instead of those of the datasets file.
        file: a file to take them from, instead of measuring.

    Returns:
        The ranges, and whether they were made now.

    Raises:
        UserError: when both `file` and `on` are given.
        UnknownName: when it is to be calibrated on what is no dataset.
        NothingToCompare: when there is no image to calibrate on.
        CheckFailed: when they are not those of the file that the datasets file names.
    """
    if file and on:
        raise UserError(f"the ranges of {config.name} come either from a file or from datasets; both were asked for")
    if file and config.view:
        raise UserError(
            f"{config.name} is a view: its ranges belong to maps of its own, which no file has; "
            f"`dna calibrate {config.name}` measures both anew"
        )
    # Before the network is loaded: what changes meanwhile is not in it.
    stamp = extractor_stamp(config)
    (extractor, *others), fingerprints = load_all(config), project.lake.fingerprints
    ranges = None if anew else _kept_ranges(project, config, extractor.fingerprint)
    made = ranges is None
    if ranges is None and not on:
        ranges = _given_ranges(project, config, extractor, file, anew=anew)
    if ranges is None:
        ranges = _calibrated(project, config, [extractor, *others], tuple(on), progress)
    # Before they are kept: what is refused must not replace what there is.
    require_configured(project, config, ranges, file if made else None)
    ranges = fingerprints.put_ranges(config.name, extractor.fingerprint, ranges, anew=anew)
    _note_keys(project, config, stamp, extractor, ranges)
    return ranges, made


def _kept_ranges(project: Project, config: ExtractorConfig, fingerprint: str) -> ActivationRanges | None:
    """The frozen ranges of an extractor, also where it had another name when they were measured.

    Those of a name that the datasets file still has are its own, unless the same was asked for there.
    """
    store = project.lake.fingerprints
    if (own := store.ranges(config.name, fingerprint)) or config.ranges:
        return own
    others = {other.name: _asked_of_calibration(other) for other in project.config().extractors}
    for name in store.calibrated():
        if others.get(name, _asked_of_calibration(config)) != _asked_of_calibration(config):
            continue
        found = store.ranges(name, fingerprint)
        if found and (not config.calibrate_on or set(found.datasets) <= set(config.calibrate_on)):
            return found
    return None


def _given_ranges(
    project: Project, config: ExtractorConfig, extractor: Extractor, file: str | None = None, *, anew: bool = False
) -> ActivationRanges | None:
    """Ranges that need no measuring: those of a file, else those that came with the network.

    The latter are not what somebody wants who names datasets to calibrate on, or asks for ranges anew.
    """
    if source := file or config.ranges:
        return imported_ranges(project, source, config.name, extractor.layers)
    return None if anew or config.calibrate_on else extractor.own_ranges


def _asked_of_calibration(config: ExtractorConfig) -> tuple[object, ...]:
    return config.ranges, set(config.calibrate_on), config.calibration_images


def known_keys(project: Project, config: ExtractorConfig) -> tuple[str, str] | None:
    """The ids of the comparability and compute key that a run would work with; None before the calibration.

    Writes nothing. The network is loaded, unless no extractor was ever calibrated here.

    Raises:
        UserError: when there is no such network, or it cannot be loaded.
    """
    if not project.lake.fingerprints.calibrated() and not config.ranges:
        builder_of(config.loads, config.root)
        return None
    extractor = load(config)
    ranges = _kept_ranges(project, config, extractor.fingerprint)
    ranges = ranges or _given_ranges(project, config, extractor)
    if ranges is None:
        return None
    return extractor.comparability_key(ranges).id, extractor.compute_key(ranges).id


def _calibrated(
    project: Project,
    config: ExtractorConfig,
    extractors: list[Extractor],
    on: tuple[str, ...],
    progress: Progress | None,
) -> ActivationRanges:
    extractor, *others = extractors
    for name in on:
        if not project.lake.versions.latest(project.file.dataset(name).name):
            raise NothingToCompare(f"{name} was never scanned, so nothing can be calibrated on it; run `dna run` first")
    watched = tuple(dataset.name for dataset in project.config().datasets)
    for name in config.calibrate_on:
        if not on and name not in watched:
            raise UnknownName(
                f"{project.file.path}: {config.name} is to be calibrated on '{name}' (calibrate_on), "
                f"which is no dataset; there are: {', '.join(watched) or 'none'}"
            )
    manifests, read = _calibration_images(project, on or config.calibrate_on or watched)
    items = (row.item for manifest in manifests.values() for row in manifest.readable)
    digests = calibration_sample(items, config.calibration_images)
    chosen = set(digests)
    names = tuple(name for name, one in manifests.items() if any(row.digest in chosen for row in one.readable))
    n_steps = extractor.n_calibration_passes * len(digests)
    with (progress or Silent()).task(f"calibrating {config.name}", n_steps) as advance:
        workers = project.config().workers
        return calibrate(extractor, digests, names, read, workers=workers, on_images=advance, others=others)


def calibrated(project: Project, config: ExtractorConfig) -> Calibrated:
    """An extractor with its activation ranges.

    Raises:
        NothingToCompare: when it was never calibrated.
    """
    extractors = load_all(config)
    ranges = project.lake.fingerprints.ranges(config.name, extractors[0].fingerprint)
    if ranges is None:
        raise NothingToCompare(f"{config.name} has no activation ranges yet; run `dna run` (or materialize its ranges)")
    return Calibrated(config.name, [extractor.bound(ranges) for extractor in extractors], ranges)


def _calibrated_or_made(project: Project, config: ExtractorConfig, progress: Progress | None) -> Calibrated:
    """The same; a network may be another one although its files looked the same when the run was planned."""
    try:
        return calibrated(project, config)
    except NothingToCompare:
        ensure_ranges(project, config, progress)
        return calibrated(project, config)


def fit(project: Project, dataset: DatasetConfig, config: ExtractorConfig, progress: Progress | None = None) -> Fitted:
    """The DNA of a dataset as it was last committed.

    Raises:
        NothingToCompare: when the dataset was never ingested, or there is no image to calibrate on.
        SourceChanged: when images changed since they were ingested.
    """
    versions, started = project.lake.versions, time.monotonic()
    commit = versions.latest(dataset.name)
    if commit is None:
        raise NothingToCompare(f"{dataset.name} has no manifest yet; run `dna run` (or materialize its manifest first)")
    ready = _calibrated_or_made(project, config, progress)
    key = ready.extractors[0].comparability_key(ready.ranges)
    if commit.n_images == 0:
        return Fitted(dataset.name, config.name, commit, None, key.id, Work())
    if withheld := blocked(check_manifest(dataset, commit)):
        raise CheckFailed(f"{dataset.name} is held back: {withheld}")

    def cut() -> tuple[tuple[Shard, ...], ReadImage]:
        manifest = versions.manifest(commit)
        return manifest.shards, reader(project, dataset, manifest)

    def earlier() -> Iterator[str]:
        for seq in range(commit.seq - 1, max(commit.seq - _LOOK_BACK, 0), -1):
            yield versions.commit(commit.dataset, seq).version_id

    version = Version(dataset.name, commit.version_id, commit.n_images, cut, earlier)
    record, work = measure(project, ready, version, progress)
    duration_s = 0.0 if work.was_current else time.monotonic() - started
    return Fitted(dataset.name, config.name, commit, record, key.id, work, duration_s)


def reader(project: Project, dataset: DatasetConfig, *manifests: Manifest) -> ReadImage:
    """Reads images by digest, and refuses bytes that have another; later manifests know better where they are."""
    source = project.source(dataset)
    paths = {row.digest: row.path for manifest in manifests for row in manifest.readable}

    def read(digest: str) -> bytes:
        path = paths[digest]
        name = f"{dataset.name}: {path.decode('utf-8', 'backslashreplace')}"
        try:
            data = source.read(path)
        except FileNotFoundError as error:
            raise SourceChanged(f"{name} vanished since the scan; run again") from error
        except (OSError, Unreadable) as error:
            raise SourceError(f"{name} cannot be read: {error}; run again") from error
        if digest_of(data) != digest:
            raise SourceChanged(f"{name} changed since the scan; run again")
        return data

    return read


def _calibration_images(project: Project, names: tuple[str, ...]) -> tuple[dict[str, Manifest], ReadImage]:
    """The manifests of some datasets by name, and a reader for all their images."""
    manifests: dict[str, Manifest] = {}
    readers: dict[str, ReadImage] = {}
    for name in names:
        if commit := project.lake.versions.latest(name):
            manifest = project.lake.versions.manifest(commit)
            manifests[name] = manifest
            read = reader(project, project.file.dataset(name), manifest)
            readers |= {row.digest: read for row in manifest.readable if row.digest}
    return manifests, lambda digest: readers[digest](digest)


def _note_keys(
    project: Project, config: ExtractorConfig, stamp: str, extractor: Extractor, ranges: ActivationRanges
) -> None:
    key, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    project.lake.fingerprints.put_key(key)
    project.lake.fingerprints.put_key(compute)
    project.lake.fingerprints.put_names(key.id, extractor.neuron_names)
    project.lake.fingerprints.put_extractor(
        ExtractorRecord(
            name=config.name,
            stamp=stamp,
            fingerprint=extractor.fingerprint,
            ranges_id=ranges.id,
            comparability_key=key.id,
            compute_key=compute.id,
            recorded_at=now(),
        )
    )
