"""What a run would do, and about how long it would take."""

from __future__ import annotations

from dataclasses import dataclass, field

from dna_pipelines.dna import dna_id
from dna_pipelines.errors import UserError
from dna_pipelines.manifests import Manifest
from dna_pipelines.project.checks import blocked, check_readable
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.ingest import draft
from dna_pipelines.update.networks import look_at_network
from dna_pipelines.update.plan import ExtractorPlan, Plan, State


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


def forecast(project: ProjectFolder, plan: Plan, progress: Progress | None = None) -> Forecast:
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
    project: ProjectFolder, plan: Plan, keys: dict[str, tuple[str, str] | None], progress: Progress | None
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


def _keys(project: ProjectFolder, extractor: ExtractorPlan) -> tuple[str, str] | None:
    """The ids of the comparability and compute key that the run would work with; None if only that would tell."""
    if extractor.to_load:
        # Only what may have changed needs torch.
        from dna_pipelines.update.calibration import known_keys

        return known_keys(project, extractor.config)
    record = project.lake.fingerprints.extractor(extractor.config.name)
    return (record.comparability_key, record.compute_key) if record else None


def _n_to_extract(project: ProjectFolder, keys: tuple[str, str] | None, manifest: Manifest) -> int:
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
