"""Activation ranges: those that exist, imported from a file, or calibrated on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.dna import ActivationRanges, calibration_sample
from dna_pipelines.errors import Incomparable, LakeError, NothingToCompare, UnknownName, UserError
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.extraction.loading.registry import builder_of
from dna_pipelines.identity import stable_hash
from dna_pipelines.manifests import Manifest, ReadImage
from dna_pipelines.project.image_bytes import reader
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.vdna import imported_ranges, require_configured
from dna_pipelines.storage.records import ExtractorRecord
from dna_pipelines.storage.versions import now
from dna_pipelines.update.extractors import load, load_all


def ensure_ranges(
    project: ProjectFolder,
    config: ExtractorConfig,
    progress: Progress | None = None,
    *,
    replace: bool = False,
    on: Sequence[str] = (),
    file: str | None = None,
) -> tuple[ActivationRanges, bool]:
    """The activation ranges of an extractor; determined now if it has none, or if they are to be replaced.

    Args:
        project: where the extractor is used.
        config: the extractor.
        progress: shows the calibration.
        replace: whether to replace ranges that exist.
        on: datasets to measure them on, instead of those of the datasets file.
        file: a file to read them from, instead of measuring.

    Returns:
        The ranges, and whether this call determined them.

    Raises:
        UserError: when both `file` and `on` are given, or a file for a view.
        UnknownName: when a name in `on` or `calibrate_on` is not a dataset.
        NothingToCompare: when there is no image to calibrate on.
        CheckFailed: when the ranges are not those of the file that the datasets file names.
    """
    if file and on:
        raise UserError(
            f"activation ranges of {config.name} come either from a file ({file}) or from datasets ({', '.join(on)}); "
            "give one of the two",
            code="ranges.two-origins",
            extractor=config.name,
            file=file,
            datasets=list(on),
        )
    if file and config.view:
        raise UserError(
            f"{config.name} is a view: its activation ranges apply to its own projections, which no file contains; "
            f"run `dna calibrate {config.name}` to measure both again",
            code="ranges.of-a-view",
            extractor=config.name,
            file=file,
        )
    # Read before the network is loaded, so that the next run notices a change during the loading.
    token = extractor_change_token(config)
    (extractor, *others), fingerprints = load_all(config), project.lake.fingerprints
    ranges = None if replace else _kept_ranges(project, config, extractor.fingerprint)
    made = ranges is None
    if ranges is None and not on:
        ranges = _given_ranges(project, config, extractor, file, replace=replace)
    if ranges is None:
        if not replace:
            require_not_lost(project, config, extractor)
        ranges = _calibrated(project, config, [extractor, *others], tuple(on), progress)
    # Checked before they are stored: rejected ranges must not replace the existing ones.
    require_configured(project, config, ranges, file if made else None)
    ranges = fingerprints.put_ranges(config.name, extractor.fingerprint, ranges, replace=replace)
    _store_keys(project, config, token, extractor, ranges)
    return ranges, made


def _kept_ranges(project: ProjectFolder, config: ExtractorConfig, fingerprint: str) -> ActivationRanges | None:
    """The frozen ranges of an extractor, also if it had another name when they were measured.

    Ranges of a name that the datasets file still has belong to that name, unless both configure the same calibration.
    """
    store = project.lake.fingerprints
    if (own := store.ranges(config.name, fingerprint)) or config.ranges:
        return own
    others = {other.name: _calibration_settings(other) for other in project.config().extractors}
    for name in store.calibrated():
        if others.get(name, _calibration_settings(config)) != _calibration_settings(config):
            continue
        ranges = store.ranges(name, fingerprint)
        if ranges and (not config.calibrate_on or set(ranges.datasets) <= set(config.calibrate_on)):
            return ranges
    return None


def require_not_lost(project: ProjectFolder, config: ExtractorConfig, extractor: Extractor) -> None:
    """Refuse to measure ranges again that were measured before: what was measured with them is then incomparable.

    Raises:
        LakeError: (`ranges.lost`) when there are DNAs of the extractor, or a record of its use, and its ranges are
            missing. Ranges of a file, and those that come with a network, are written again.
    """
    if not _was_used(project, config, extractor):
        return
    if _kept_ranges(project, config, extractor.fingerprint) or _given_ranges(project, config, extractor):
        return
    folder = project.lake.layout.ranges(config.name)
    raise LakeError(
        f"the activation ranges of {config.name} are missing in {folder}: restore the folder from a copy, or measure "
        f"them again with `dna calibrate {config.name}`, after which earlier versions are not comparable",
        code="ranges.lost",
        extractor=config.name,
        path=str(folder),
    )


def _was_used(project: ProjectFolder, config: ExtractorConfig, extractor: Extractor) -> bool:
    """Whether a network was used: by the record of its last use, and by the keys of DNAs, should that be lost too."""
    store = project.lake.fingerprints
    record = store.extractor(config.name)
    if record and record.fingerprint == extractor.fingerprint:
        return True
    keys = {record.comparability_key for record in store.dna_records() if record.extractor == config.name}
    for key in keys & set(store.key_ids()):
        parts = {name: part for name, part in store.key(key).parts.items() if name not in ("ranges", "n_bins")}
        if stable_hash(parts) == extractor.fingerprint:
            return True
    return False


def _given_ranges(
    project: ProjectFolder,
    config: ExtractorConfig,
    extractor: Extractor,
    file: str | None = None,
    *,
    replace: bool = False,
) -> ActivationRanges | None:
    """Ranges that need no measuring: those of a file, else those that come with the network.

    The latter are not used where datasets to calibrate on are named, or ranges are to be replaced.
    """
    if source := file or config.ranges:
        return imported_ranges(project, source, config.name, extractor.layers)
    return None if replace or config.calibrate_on else extractor.own_ranges


def _calibration_settings(config: ExtractorConfig) -> tuple[object, ...]:
    return config.ranges, set(config.calibrate_on), config.calibration_images


def known_keys(project: ProjectFolder, config: ExtractorConfig) -> tuple[str, str] | None:
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
    project: ProjectFolder,
    config: ExtractorConfig,
    extractors: list[Extractor],
    on: tuple[str, ...],
    progress: Progress | None,
) -> ActivationRanges:
    extractor, *others = extractors
    for name in on:
        if not project.lake.versions.latest(project.file.dataset(name).name):
            raise NothingToCompare(
                f"{name} has no manifest yet, so activation ranges cannot be measured on it; "
                "call project.update() or run `dna run` first",
                code="ranges.no-manifest",
                dataset=name,
            )
    watched = tuple(dataset.name for dataset in project.config().datasets)
    for name in config.calibrate_on:
        if not on and name not in watched:
            raise UnknownName(
                f"{project.file.path}: `calibrate_on` of {config.name} names '{name}', which is not a dataset; "
                f"the datasets are: {', '.join(watched) or 'none'}",
                code="name.dataset",
                name=name,
                known=list(watched),
                extractor=config.name,
            )
    manifests, read = _calibration_images(project, on or config.calibrate_on or watched)
    items = (row.item for manifest in manifests.values() for row in manifest.readable)
    digests = calibration_sample(items, config.calibration_images)
    chosen = set(digests)
    names = tuple(name for name, each in manifests.items() if any(row.digest in chosen for row in each.readable))
    n_steps = extractor.n_calibration_passes * len(digests)
    with (progress or Silent()).task(f"calibrating {config.name}", n_steps) as advance:
        workers = project.config().workers
        return calibrate(extractor, digests, names, read, workers=workers, on_images=advance, others=others)


def calibrated(project: ProjectFolder, config: ExtractorConfig) -> Calibrated:
    """An extractor with its activation ranges.

    Raises:
        NothingToCompare: when it was never calibrated.
    """
    extractors = load_all(config)
    ranges = project.lake.fingerprints.ranges(config.name, extractors[0].fingerprint)
    if ranges is None:
        raise NothingToCompare(
            f"{config.name} has no activation ranges yet; "
            "call project.update(), run `dna run`, or materialize its ranges in Dagster",
            code="ranges.missing",
            extractor=config.name,
        )
    return Calibrated(config.name, [extractor.bound(ranges) for extractor in extractors], ranges)


def calibrated_or_made(project: ProjectFolder, config: ExtractorConfig, progress: Progress | None) -> Calibrated:
    """An extractor with its activation ranges, which are determined if it has none.

    That happens in a run where the network changed although its files looked unchanged when the run was planned.
    """
    try:
        return calibrated(project, config)
    except NothingToCompare:
        ensure_ranges(project, config, progress)
        return calibrated(project, config)


def _calibration_images(project: ProjectFolder, names: tuple[str, ...]) -> tuple[dict[str, Manifest], ReadImage]:
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


def _store_keys(
    project: ProjectFolder, config: ExtractorConfig, token: str, extractor: Extractor, ranges: ActivationRanges
) -> None:
    key, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    project.lake.fingerprints.put_key(key)
    project.lake.fingerprints.put_key(compute)
    project.lake.fingerprints.put_names(key.id, extractor.neuron_names)
    project.lake.fingerprints.put_extractor(
        ExtractorRecord(
            name=config.name,
            stamp=token,
            fingerprint=extractor.fingerprint,
            ranges_id=ranges.id,
            comparability_key=key.id,
            compute_key=compute.id,
            recorded_at=now(),
        )
    )


@dataclass(frozen=True)
class Calibrated:
    """An extractor with its activation ranges, ready to measure.

    Attributes:
        name: what the datasets file calls it.
        extractors: the same extractor, once for each of its devices.
        ranges: its activation ranges.
    """

    name: str
    extractors: list[Extractor]
    ranges: ActivationRanges


def ready_as(project: ProjectFolder, extractor: str, comparability_key: str) -> Calibrated:
    """An extractor that measures in the way in which an existing DNA was measured.

    Raises:
        Incomparable: when the extractor changed since.
    """
    ready = calibrated(project, project.extractor_config(extractor))
    if ready.extractors[0].comparability_key(ready.ranges).id != comparability_key:
        raise Incomparable(
            f"{extractor} changed since the DNAs were measured; "
            "call project.update() or run `dna run` to measure them again",
            code="compare.extractor-changed",
            extractor=extractor,
            comparability_key=comparability_key,
        )
    return ready
