"""What a run has to do to bring everything up to date; planning computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError, UserError
from dna_pipelines.extraction.files.change_token import extractor_change_token
from dna_pipelines.project.checks import blocked, check_manifest
from dna_pipelines.project.current import blocked_commit
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import is_of_this_location
from dna_pipelines.storage import Commit
from dna_pipelines.update.listing import Listing, list_location
from dna_pipelines.update.pairs import matrix_id, wanted_pairs

State = Literal["new", "changed", "unchanged", "failed"]

DnaState = Literal["current", "missing", "empty", "changed", "blocked"]
"""Of a DNA; `changed`: the extractor or the location may have changed; `blocked`: a check blocks it."""


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset needs."""

    dataset: DatasetConfig
    state: State
    listing: Listing | None = None
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
    """It was never used here, or may have changed since, so a run loads it and makes sure that it has ranges."""
    n_pairs: int = 0
    """Pairs to compare, as far as they are known before anything is fitted."""
    n_pairs_known: int = 0
    """Pairs that are compared already."""
    to_draw: bool = False
    """Whether the picture of the matrix shows other DNAs and pairs."""


@dataclass(frozen=True)
class Plan:
    """What a run has to do."""

    datasets: tuple[DatasetPlan, ...]
    extractors: tuple[ExtractorPlan, ...]
    forgotten: tuple[str, ...] = ()
    """Datasets of the lake that are no longer watched."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether everything is up to date (datasets that failed aside)."""
        idle = all(plan.state in ("unchanged", "failed") and not plan.extractors for plan in self.datasets)
        return idle and not any(plan.to_load or plan.n_pairs or plan.to_draw for plan in self.extractors)


def make_plan(project: ProjectFolder, only: tuple[str, ...] = (), progress: Progress | None = None) -> Plan:
    """Compare the location of every watched dataset with the lake.

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
        if not project.lake.fingerprints.is_known(extractor.name, extractor_change_token(extractor))
    }
    keys = {name: record.comparability_key for name, record in records.items() if record}
    plans: list[DatasetPlan] = []
    with (progress or Silent()).task("listing", len(chosen)) as advance:
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
        extractors.append(ExtractorPlan(extractor, False, len(pairs.missing), pairs.n_known, to_draw))
    watched = {dataset.name for dataset in config.datasets}
    forgotten = tuple(name for name in project.lake.versions.datasets() if name not in watched)
    return Plan(tuple(plans), tuple(extractors), forgotten)


def missing_dnas(project: ProjectFolder, dataset: str) -> tuple[str, ...]:
    """The extractors whose DNA of a dataset's last commit is missing."""
    names = [extractor.name for extractor in project.config().extractors]
    records = [record for name in names if (record := project.lake.fingerprints.extractor(name))]
    keys = {record.name: record.comparability_key for record in records}
    return _missing_dnas(project, project.file.dataset(dataset), project.lake.versions.latest(dataset), keys)


def blocked_problem(project: ProjectFolder, dataset: str) -> Problem | None:
    """Why a check blocks the DNA of a dataset's last commit, or its use; None if no check does."""
    commit, config = project.lake.versions.latest(dataset), project.file.dataset(dataset)
    if commit is None:
        return None
    names = [extractor.name for extractor in project.config().extractors]
    # Extractors share the reasons of the manifest.
    reasons = dict.fromkeys(blocked_commit(project, config, commit, name) for name in names)
    message = "; ".join(reason for reason in reasons if reason)
    return Problem.blocked(message, dataset=dataset) if message else None


def dna_state(project: ProjectFolder, dataset: DatasetConfig, extractor: ExtractorConfig) -> DnaState:
    """The state of a dataset's DNA in the lake; the location is not listed."""
    commit, record = project.lake.versions.latest(dataset.name), project.lake.fingerprints.extractor(extractor.name)
    if commit is None:
        return "missing"
    if blocked(check_manifest(dataset, commit)):
        return "blocked"
    if commit.n_images == 0:
        return "empty"
    if not is_of_this_location(dataset, commit) or (record and record.stamp != extractor_change_token(extractor)):
        return "changed"
    if blocked_commit(project, dataset, commit, extractor.name):
        return "blocked"
    identity = dna_id(record.comparability_key, commit.version_id) if record else None
    return "current" if identity and project.lake.fingerprints.dna_record(identity) else "missing"


def _plan_dataset(project: ProjectFolder, dataset: DatasetConfig, keys: dict[str, str]) -> DatasetPlan:
    try:
        listing = list_location(project, dataset)
    except (UserError, LakeError) as error:
        return DatasetPlan(dataset, "failed", problem=Problem.of(error))
    state: State = "unchanged" if listing.is_current else "new" if listing.latest is None else "changed"
    problem = blocked_problem(project, dataset.name) if listing.is_current else None
    return DatasetPlan(dataset, state, listing, problem, _missing_dnas(project, dataset, listing.latest, keys))


def _missing_dnas(
    project: ProjectFolder, dataset: DatasetConfig, commit: Commit | None, keys: dict[str, str]
) -> tuple[str, ...]:
    if commit is None or commit.n_images == 0 or blocked(check_manifest(dataset, commit)):
        return ()
    store = project.lake.fingerprints
    return tuple(name for name, key in keys.items() if store.dna_record(dna_id(key, commit.version_id)) is None)
