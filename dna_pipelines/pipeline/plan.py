"""What has to be done to bring everything up to date, found without computing anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError, UserError
from dna_pipelines.extraction.stamp import extractor_stamp
from dna_pipelines.manifests import Manifest
from dna_pipelines.pipeline.checks import blocked, check_manifest, check_readable
from dna_pipelines.pipeline.ingest import Look, draft, look
from dna_pipelines.pipeline.networks import look_at_network
from dna_pipelines.pipeline.problem import Problem
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.versions import matrix_id, wanted_pairs, withheld
from dna_pipelines.storage import Commit

State = Literal["new", "changed", "unchanged", "failed"]

DnaState = Literal["current", "missing", "empty", "changed", "held back"]
"""Of a DNA; `changed`: the extractor may have."""


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset needs."""

    dataset: DatasetConfig
    state: State
    seen: Look | None = None
    problem: Problem | None = None
    extractors: tuple[str, ...] = ()
    """Extractors whose DNA of the committed version is missing."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name


@dataclass(frozen=True)
class ExtractorPlan:
    """What an extractor needs."""

    config: ExtractorConfig
    to_load: bool
    """It was never used here, or may have changed since: its ranges are looked up or calibrated."""
    n_pairs: int = 0
    """Pairs to compare, as far as they are known before anything is fitted."""
    n_pairs_known: int = 0
    """Pairs that are compared already."""
    to_draw: bool = False
    """The picture of the matrix is not of these DNAs and pairs."""


@dataclass(frozen=True)
class Plan:
    """What there is to do."""

    datasets: tuple[DatasetPlan, ...]
    extractors: tuple[ExtractorPlan, ...]
    forgotten: tuple[str, ...] = ()
    """Datasets of the lake that are no longer watched."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether everything is up to date (failed places aside)."""
        idle = all(plan.state in ("unchanged", "failed") and not plan.extractors for plan in self.datasets)
        return idle and not any(plan.to_load or plan.n_pairs or plan.to_draw for plan in self.extractors)


def make_plan(project: Project, only: tuple[str, ...] = (), progress: Progress | None = None) -> Plan:
    """Look at every watched dataset and at what the lake has.

    Args:
        project: what to bring up to date.
        only: names of datasets; all of them where empty.
        progress: shows the listing.
    """
    config = project.config()
    chosen = [project.file.dataset(name) for name in dict.fromkeys(only)] or list(config.datasets)
    records = {extractor.name: project.lake.fingerprints.extractor(extractor.name) for extractor in config.extractors}
    stale = {
        extractor.name
        for extractor in config.extractors
        if (record := records[extractor.name]) is None or record.stamp != extractor_stamp(extractor)
    }
    keys = {name: record.comparability_key for name, record in records.items() if record}
    plans: list[DatasetPlan] = []
    with (progress or Silent()).task("looking", len(chosen)) as advance:
        for dataset in chosen:
            plans.append(_plan_dataset(project, dataset, keys))
            advance(1)
    extractors = []
    for extractor in config.extractors:
        if extractor.name in stale:
            extractors.append(ExtractorPlan(extractor, to_load=True))
            continue
        pairs = wanted_pairs(project, extractor.name)
        to_draw = matrix_id(pairs) != project.lake.distances.drawn(extractor.name)
        extractors.append(ExtractorPlan(extractor, False, len(pairs.lacking), pairs.n_known, to_draw))
    watched = {dataset.name for dataset in config.datasets}
    forgotten = tuple(name for name in project.lake.versions.datasets() if name not in watched)
    return Plan(tuple(plans), tuple(extractors), forgotten)


@dataclass(frozen=True)
class Estimate:
    """What a run would do to one dataset."""

    name: str
    state: State
    changes: dict[str, int] = field(default_factory=dict)
    n_images: int = 0
    n_to_extract: dict[str, int] = field(default_factory=dict)
    """By extractor."""
    extraction_s: float | None = None
    """From the speed of earlier extractions here; None before the first."""
    problem: Problem | None = None
    remark: str = ""
    """See `Commit`."""
    occasion: str = ""
    """See `Look`."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    datasets: tuple[Estimate, ...]
    missing: dict[str, str] = field(default_factory=dict)
    """By extractor: why it cannot be loaded, as far as that is known beforehand."""
    to_fetch: tuple[str, ...] = ()
    """Extractors that are fetched first."""


def forecast(project: Project, plan: Plan, progress: Progress | None = None) -> Forecast:
    """What a run would do, reading new files but writing and fetching nothing."""
    keys: dict[str, tuple[str, str] | None] = {}
    missing: dict[str, str] = {}
    to_fetch = []
    for extractor in plan.extractors:
        name = extractor.config.name
        keys[name] = None
        # Of one that is known nothing is looked for: that would hash its weights.
        seen = look_at_network(extractor.config) if extractor.to_load else None
        if seen and seen.state == "missing":
            missing[name] = f"weights {seen.weights}"
        elif seen and seen.state == "to fetch":
            to_fetch.append(name)
        else:
            try:
                keys[name] = _keys(project, extractor)
            except UserError as error:
                missing[name] = str(error).removeprefix(f"extractor {name}: ")
    return Forecast(tuple(_estimates(project, plan, keys, progress)), missing, tuple(to_fetch))


def _estimates(
    project: Project, plan: Plan, keys: dict[str, tuple[str, str] | None], progress: Progress | None
) -> list[Estimate]:
    records = project.lake.fingerprints.dna_records()
    found = []
    for item in plan.datasets:
        if item.state == "failed" or item.seen is None:
            found.append(Estimate(item.name, item.state, problem=item.problem))
            continue
        latest = item.seen.latest
        if latest is None or not item.seen.is_current:
            try:
                manifest, diff, remark = draft(project, item.seen, progress)
            except UserError as error:
                found.append(Estimate(item.name, "failed", problem=Problem(str(error))))
                continue
            changes = diff.counts()
        else:
            manifest, changes, remark = project.lake.versions.manifest(latest), {}, latest.remark
        n_images, n_quarantined = len(manifest.readable), len(manifest.quarantined)
        withheld_now = blocked([check_readable(item.dataset, n_images, n_quarantined)])
        problem = Problem(withheld_now, "held back") if withheld_now else item.problem
        to_extract: dict[str, int] = {}
        seconds: float | None = 0.0
        for name, key in keys.items():
            to_extract[name] = 0 if withheld_now else _n_to_extract(project, key, manifest)
            measured = [r for r in records if key and r.comparability_key == key[0] and r.n_images_extracted]
            # After a calibration, say, the speed of before still holds.
            measured = measured or [r for r in records if r.extractor == name and r.n_images_extracted]
            speed = (
                sum(r.n_images_extracted for r in measured) / sum(r.extraction_s for r in measured)
                if measured
                else None
            )
            if to_extract[name]:
                seconds = None if seconds is None or speed is None else seconds + to_extract[name] / speed
        found.append(
            Estimate(
                item.name,
                item.state,
                changes,
                n_images,
                n_to_extract=to_extract,
                extraction_s=seconds,
                problem=problem,
                remark=remark,
                occasion=item.seen.occasion,
            )
        )
    return found


def _keys(project: Project, extractor: ExtractorPlan) -> tuple[str, str] | None:
    """The ids of the comparability and compute key that the run would work with; None if only that would tell."""
    if extractor.to_load:
        # Only what may have changed needs torch.
        from dna_pipelines.pipeline.fingerprint import known_keys

        return known_keys(project, extractor.config)
    record = project.lake.fingerprints.extractor(extractor.config.name)
    return (record.comparability_key, record.compute_key) if record else None


def _n_to_extract(project: Project, keys: tuple[str, str] | None, manifest: Manifest) -> int:
    store = project.lake.fingerprints
    if keys is None:
        return len(manifest.readable)
    if store.dna_record(dna_id(keys[0], manifest.version_id)):
        return 0

    def is_there(shard_id: str) -> bool:
        return store.find_partial(*keys, shard_id) is not None

    return sum(
        len(shard)
        for shard in manifest.shards
        if not is_there(shard.id) and not (shard.parents and all(map(is_there, shard.parents)))
    )


def missing_dnas(project: Project, dataset: str) -> tuple[str, ...]:
    """The extractors whose DNA of a dataset's last commit is missing."""
    names = [extractor.name for extractor in project.config().extractors]
    records = [record for name in names if (record := project.lake.fingerprints.extractor(name))]
    keys = {record.name: record.comparability_key for record in records}
    return _missing_dnas(project, project.file.dataset(dataset), project.lake.versions.latest(dataset), keys)


def held_back(project: Project, dataset: str) -> Problem | None:
    """Why the last commit of a dataset gets no DNA, or one that nothing uses; None if nothing withholds it."""
    commit, config = project.lake.versions.latest(dataset), project.file.dataset(dataset)
    if commit is None:
        return None
    names = [extractor.name for extractor in project.config().extractors]
    # What withholds a manifest is the same for all.
    reasons = dict.fromkeys(withheld(project, config, commit, name) for name in names)
    said = "; ".join(reason for reason in reasons if reason)
    return Problem(said, "held back") if said else None


def dna_state(project: Project, dataset: DatasetConfig, extractor: ExtractorConfig) -> DnaState:
    """What is known of a dataset's DNA without looking at its place."""
    commit, record = project.lake.versions.latest(dataset.name), project.lake.fingerprints.extractor(extractor.name)
    if commit is None:
        return "missing"
    if blocked(check_manifest(dataset, commit)):
        return "held back"
    if commit.n_images == 0:
        return "empty"
    if record and record.stamp != extractor_stamp(extractor):
        return "changed"
    if withheld(project, dataset, commit, extractor.name):
        return "held back"
    identity = dna_id(record.comparability_key, commit.version_id) if record else None
    return "current" if identity and project.lake.fingerprints.dna_record(identity) else "missing"


def _plan_dataset(project: Project, dataset: DatasetConfig, keys: dict[str, str]) -> DatasetPlan:
    try:
        seen = look(project, dataset)
    except (UserError, LakeError) as error:
        return DatasetPlan(dataset, "failed", problem=Problem(str(error)))
    state: State = "unchanged" if seen.is_current else "new" if seen.latest is None else "changed"
    problem = held_back(project, dataset.name) if seen.is_current else None
    return DatasetPlan(dataset, state, seen, problem, _missing_dnas(project, dataset, seen.latest, keys))


def _missing_dnas(
    project: Project, dataset: DatasetConfig, commit: Commit | None, keys: dict[str, str]
) -> tuple[str, ...]:
    if commit is None or commit.n_images == 0 or blocked(check_manifest(dataset, commit)):
        return ()
    store = project.lake.fingerprints
    return tuple(name for name, key in keys.items() if store.dna_record(dna_id(key, commit.version_id)) is None)
