"""What a run would do, and an estimate of how long it would take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dna_pipelines.dna import dna_id
from dna_pipelines.errors import UserError
from dna_pipelines.manifests import Manifest, ManifestDiff
from dna_pipelines.manifests.diff import images_changed
from dna_pipelines.project.checks import blocked, check_readable
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.ingest import Draft, draft
from dna_pipelines.update.listing import Listing
from dna_pipelines.update.networks import describe_extractor
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
    """See `Listing.occasion`."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    datasets: tuple[Estimate, ...]
    missing: dict[str, str] = field(default_factory=dict)
    """By extractor: why it cannot be loaded, as far as that is known beforehand."""
    to_fetch: tuple[str, ...] = ()
    """Extractors whose weights a run downloads first."""


def forecast(project: ProjectFolder, plan: Plan, progress: Progress | None = None) -> Forecast:
    """What a run would do, reading new files but writing and fetching nothing."""
    keys: dict[str, tuple[str, str] | None] = {}
    missing: dict[str, str] = {}
    to_fetch = []
    for extractor in plan.extractors:
        name = extractor.config.name
        keys[name] = None
        # The files of an unchanged extractor are not examined, because that would hash its weights.
        network = describe_extractor(extractor.config) if extractor.to_load else None
        if network and network.state == "missing":
            missing[name] = f"weights {network.weights}"
        elif network and network.state == "to fetch":
            to_fetch.append(name)
        else:
            try:
                keys[name] = _keys(project, extractor)
            except UserError as error:
                missing[name] = str(error).removeprefix(f"extractor {name}: ")
    return Forecast(tuple(_estimates(project, plan, keys, progress)), missing, tuple(to_fetch))


def _estimates(
    project: ProjectFolder, plan: Plan, keys: dict[str, tuple[str, str] | None], progress: Progress | None
) -> Iterator[Estimate]:
    speeds = _speeds(project, keys)
    for item in plan.datasets:
        if item.state == "failed" or item.listing is None:
            yield Estimate(item.name, item.state, problem=item.problem)
            continue
        try:
            drafted = _draft(project, item.listing, progress)
        except UserError as error:
            yield Estimate(item.name, "failed", problem=Problem.of(error))
            continue
        manifest = drafted.manifest
        n_images = len(manifest.readable)
        reason = blocked([check_readable(item.dataset, n_images, manifest.n_unreadable, manifest.n_unknown)])
        to_extract = {name: 0 if reason else _n_to_extract(project, key, manifest) for name, key in keys.items()}
        changes = {} if item.listing.is_current else drafted.diff.counts()
        yield Estimate(
            item.name,
            item.state,
            changes,
            n_images,
            n_to_extract=to_extract,
            extraction_s=_extraction_s(to_extract, speeds),
            problem=Problem.blocked(reason, dataset=item.name) if reason else item.problem,
            remark=drafted.remark,
            occasion="" if images_changed(changes) else item.listing.occasion,
        )


def _draft(project: ProjectFolder, listing: Listing, progress: Progress | None) -> Draft:
    """What a run would commit; the last commit where that is up to date."""
    if listing.latest is None or not listing.is_current:
        return draft(project, listing, progress)
    return Draft(project.lake.versions.manifest(listing.latest), ManifestDiff(), listing.latest.remark)


def _speeds(project: ProjectFolder, keys: dict[str, tuple[str, str] | None]) -> dict[str, float]:
    """Images per second of earlier extractions, by extractor that has any."""
    records = [record for record in project.lake.fingerprints.dna_records() if record.n_images_extracted]
    speeds = {}
    for name, key in keys.items():
        measured = [record for record in records if key and record.comparability_key == key[0]]
        # After a calibration, for example, the earlier speed still holds.
        measured = measured or [record for record in records if record.extractor == name]
        if measured:
            n_images = sum(record.n_images_extracted for record in measured)
            speeds[name] = n_images / sum(record.extraction_s for record in measured)
    return speeds


def _extraction_s(to_extract: dict[str, int], speeds: dict[str, float]) -> float | None:
    """How long extracting so many images takes; None where the speed of an extractor is not known yet."""
    wanted = {name: n_images for name, n_images in to_extract.items() if n_images}
    if not wanted.keys() <= speeds.keys():
        return None
    return sum((n_images / speeds[name] for name, n_images in wanted.items()), 0.0)


def _keys(project: ProjectFolder, extractor: ExtractorPlan) -> tuple[str, str] | None:
    """The ids of the comparability and compute key of the run; None if only loading the network would show them."""
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

    def is_stored(shard_id: str) -> bool:
        return store.find_partial(*keys, shard_id) is not None

    return sum(
        len(shard)
        for shard in manifest.shards
        if not is_stored(shard.id) and not (shard.parents and all(map(is_stored, shard.parents)))
    )
