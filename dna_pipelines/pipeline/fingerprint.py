"""Fingerprints: activation ranges, partials and DNAs, computing only what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.dna import ActivationRanges, calibration_sample, dna_id, sum_partials
from dna_pipelines.errors import CheckFailed, NothingToCompare, SourceChanged, SourceError, Unreadable
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices import devices_of
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.registry import load_extractor
from dna_pipelines.extraction.stages import StageClock, StageTimes
from dna_pipelines.extraction.stamp import extractor_stamp
from dna_pipelines.extraction.stream import ReadImage
from dna_pipelines.identity import digest_of
from dna_pipelines.manifests import Manifest, Shard
from dna_pipelines.pipeline.checks import blocked, check_manifest
from dna_pipelines.pipeline.files import imported_ranges, require_configured
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.fingerprints import Sums
from dna_pipelines.storage.records import ExtractorRecord
from dna_pipelines.storage.versions import now

_LOOK_BACK = 8
"""How many commits back an earlier DNA is looked for to add to."""


@dataclass(frozen=True)
class Fitted:
    """What fitting one DNA took. `record` is None for an empty dataset."""

    dataset: str
    extractor: str
    commit: Commit
    record: DnaRecord | None
    comparability_key: str
    n_computed: int = 0
    """Partials extracted from images."""
    n_merged: int = 0
    """Partials added up from smaller ones."""
    n_reused: int = 0
    """Partials that were there."""
    n_images_extracted: int = 0
    duration_s: float = 0.0
    was_current: bool = False
    stages: StageTimes | None = None
    """Where the time of the extraction went; None where nothing was extracted."""


def load(config: ExtractorConfig) -> Extractor:
    """The extractor of a line of the datasets file, on the first of its devices."""
    return load_all(config)[0]


def load_all(config: ExtractorConfig) -> list[Extractor]:
    """The extractor of a line of the datasets file, once for each of its devices."""
    settings: dict[str, Any] = {
        "batch_size": config.batch_size,
        "precision": config.precision,
        "root": config.root,
        "layers": config.layers,
        "tokens": config.tokens,
    }
    return [load_extractor(config.loads, device=device, **settings) for device in devices_of(config.device)]


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
        NothingToCompare: when there is no image to calibrate on.
        ConfigError: when they are not those of the file that the datasets file names.
    """
    (extractor, *others), fingerprints = load_all(config), project.lake.fingerprints
    ranges = None if anew else fingerprints.ranges(config.name, extractor.fingerprint)
    made = ranges is None
    if ranges is None:
        if (source := file or config.ranges) and not on:
            ranges = imported_ranges(project, source, config.name, extractor.layers)
        else:
            ranges = _calibrated(project, config, [extractor, *others], tuple(on), progress)
    # Before they are kept: what is refused must not replace what there is.
    require_configured(project, config, ranges)
    if made:
        ranges = fingerprints.put_ranges(config.name, extractor.fingerprint, ranges, anew=anew)
    _note_keys(project, config, extractor, ranges)
    return ranges, made


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
    names = on or config.calibrate_on or tuple(dataset.name for dataset in project.config().datasets)
    manifests, read = _calibration_images(project, names)
    items = (row.item for manifest in manifests for row in manifest.readable)
    digests = calibration_sample(items, config.calibration_images)
    with (progress or Silent()).task(f"calibrating {config.name}", len(digests)) as advance:
        workers = project.config().workers
        return calibrate(extractor, digests, names, read, workers=workers, on_images=advance, others=others)


def fit(project: Project, dataset: DatasetConfig, config: ExtractorConfig, progress: Progress | None = None) -> Fitted:
    """The DNA of a dataset as it was last committed.

    Raises:
        NothingToCompare: when the dataset was never ingested, or the extractor never calibrated.
        SourceChanged: when images changed since they were ingested.
    """
    lake, started = project.lake, time.monotonic()
    commit = lake.versions.latest(dataset.name)
    if commit is None:
        raise NothingToCompare(f"{dataset.name} has no manifest yet; run `dna run` (or materialize its manifest first)")
    extractor, *others = load_all(config)
    ranges = lake.fingerprints.ranges(config.name, extractor.fingerprint)
    if ranges is None:
        raise NothingToCompare(f"{config.name} has no activation ranges yet; run `dna run` (or materialize its ranges)")
    key, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    lake.fingerprints.put_key(key)
    lake.fingerprints.put_key(compute)
    if commit.n_images == 0:
        return Fitted(dataset.name, config.name, commit, None, key.id)
    if withheld := blocked(check_manifest(dataset, commit)):
        raise CheckFailed(f"{dataset.name} is held back: {withheld}")
    identity = dna_id(key.id, commit.version_id)
    if record := lake.fingerprints.dna_record(identity):
        return Fitted(dataset.name, config.name, commit, record, key.id, n_reused=len(commit.shards), was_current=True)
    manifest = lake.versions.manifest(commit)
    places, missing, n_merged = _find_partials(project, manifest.shards, key.id, compute.id, extractor)
    n_images = sum(map(len, missing))
    read = reader(project, dataset, manifest)
    with (progress or Silent()).task(f"{config.name}: {dataset.name}", n_images) as advance:
        workers, clock = project.config().workers, StageClock()
        partials = extract_partials(
            extractor, ranges, missing, read, workers=workers, on_images=advance, others=others, clock=clock
        )
        with closing(partials):
            for shard, partial in partials:
                with clock.waiting("write"):
                    lake.fingerprints.put_partial(compute.id, shard.id, partial, extractor.layers)
                places[shard.id] = compute.id
        stages = clock.times() if n_images else None
    extraction_s = time.monotonic() - started
    histogram, moments, blocks = _sum(project, commit, key.id, places, ranges)
    record = DnaRecord(
        dna_id=identity,
        extractor=config.name,
        comparability_key=key.id,
        version_id=commit.version_id,
        n_images=commit.n_images,
        n_neurons=extractor.layers.n_neurons,
        shards=tuple(shard.id for shard in manifest.shards),
        compute_keys=tuple(sorted(set(places.values()))),
        layers=extractor.layers.key(),
        n_dead=histogram.n_dead,
        clipped_share=histogram.clipped_share,
        n_images_extracted=n_images,
        extraction_s=extraction_s if n_images else 0.0,
        created_at=now(),
    )
    lake.fingerprints.put_dna(record, histogram, moments, blocks)
    n_reused = len(manifest.shards) - len(missing) - n_merged
    duration_s = time.monotonic() - started
    work = (len(missing), n_merged, n_reused, n_images, duration_s)
    return Fitted(dataset.name, config.name, commit, record, key.id, *work, stages=stages)


def reader(project: Project, dataset: DatasetConfig, manifest: Manifest) -> ReadImage:
    """Reads images by digest, and refuses bytes that have another."""
    source = project.source(dataset)
    paths = {row.digest: row.path for row in manifest.readable}

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


def _calibration_images(project: Project, names: tuple[str, ...]) -> tuple[list[Manifest], ReadImage]:
    """The manifests of some datasets, and a reader for all their images."""
    manifests: list[Manifest] = []
    readers: dict[str, ReadImage] = {}
    for name in names:
        if commit := project.lake.versions.latest(name):
            manifest = project.lake.versions.manifest(commit)
            manifests.append(manifest)
            read = reader(project, project.file.dataset(name), manifest)
            readers |= {row.digest: read for row in manifest.readable if row.digest}
    return manifests, lambda digest: readers[digest](digest)


def _find_partials(
    project: Project, shards: tuple[Shard, ...], key: str, compute: str, extractor: Extractor
) -> tuple[dict[str, str], list[Shard], int]:
    """Where each shard's partial is, adding up parents where that is enough; and those to extract."""
    store = project.lake.fingerprints
    places: dict[str, str] = {}
    missing: list[Shard] = []
    n_merged = 0
    for shard in shards:
        if place := store.find_partial(key, compute, shard.id):
            places[shard.id] = place
            continue
        parents = [(parent, store.find_partial(key, compute, parent)) for parent in shard.parents]
        keys = {place for _, place in parents}
        # Parents of several compute keys would hide under one; such a shard is extracted.
        if len(keys) == 1 and (place := keys.pop()):
            merged = store.partial(place, parents[0][0])
            for parent, _ in parents[1:]:
                merged = merged.merge(store.partial(place, parent))
            store.put_partial(place, shard.id, merged, extractor.layers)
            places[shard.id] = place
            n_merged += 1
        elif shard.id not in {other.id for other in missing}:
            missing.append(shard)
    return places, missing, n_merged


def _sum(project: Project, commit: Commit, key: str, places: dict[str, str], ranges: ActivationRanges) -> Sums:
    """Add up the shards of a commit, beginning with an earlier DNA of some of them if there is one."""
    store, shards = project.lake.fingerprints, [shard.shard_id for shard in commit.shards]
    base = _base(project, commit, key, places)
    done = set(base.shards) if base else set()

    def parts() -> Iterator[Sums]:
        if base:
            yield store.dna_sums(base.dna_id)
        for shard in shards:
            if shard not in done:
                yield store.partial_sums(places[shard], shard)

    return sum_partials(parts(), ranges.layers.n_neurons, ranges.binning.n_bins)


def _base(project: Project, commit: Commit, key: str, places: dict[str, str]) -> DnaRecord | None:
    """A recent DNA of the dataset whose shards are all in this one, and of the same compute keys."""
    shards, compute_keys = {shard.shard_id for shard in commit.shards}, tuple(sorted(set(places.values())))
    if len(shards) < len(commit.shards):
        return None
    for seq in range(commit.seq - 1, max(commit.seq - _LOOK_BACK, 0), -1):
        version_id = project.lake.versions.commit(commit.dataset, seq).version_id
        other = project.lake.fingerprints.dna_record(dna_id(key, version_id))
        if other and other.compute_keys == compute_keys and shards.issuperset(other.shards):
            return other if len(set(other.shards)) == len(other.shards) else None
    return None


def _note_keys(project: Project, config: ExtractorConfig, extractor: Extractor, ranges: ActivationRanges) -> None:
    key, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    project.lake.fingerprints.put_key(key)
    project.lake.fingerprints.put_key(compute)
    project.lake.fingerprints.put_extractor(
        ExtractorRecord(
            name=config.name,
            stamp=extractor_stamp(config),
            fingerprint=extractor.fingerprint,
            ranges_id=ranges.id,
            comparability_key=key.id,
            compute_key=compute.id,
            recorded_at=now(),
        )
    )
