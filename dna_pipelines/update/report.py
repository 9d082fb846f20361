"""The report of a run, for its user and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dna_pipelines.extraction.stream.stage_times import StageTimes
from dna_pipelines.manifests.diff import images_changed, in_words
from dna_pipelines.project.problem import Problem, problem_json
from dna_pipelines.storage import Commit
from dna_pipelines.update.ingest import Ingested
from dna_pipelines.update.pairs import PairsUpdated
from dna_pipelines.update.plan import Plan, State

if TYPE_CHECKING:
    # Its module loads torch.
    from dna_pipelines.update.fingerprint import Fitted

_OF_A_VERSION = {
    "renamed": "names are not part of a version",
    "described": "metadata are not part of a version",
    "regrouped": "groups are part of a version",
}
"""Explains changes that are all of one kind."""


@dataclass(frozen=True)
class IngestReport:
    """What a refresh of a dataset did, without the manifest, which may be large."""

    commit: Commit
    changes: dict[str, int]
    """By kind of change, the number of images."""
    was_current: bool

    @staticmethod
    def of(done: Ingested) -> IngestReport:
        """The report of a refresh."""
        return IngestReport(done.commit, done.diff.counts(), done.was_current)


@dataclass
class FingerprintReport:
    """What bringing one dataset's DNA of one extractor up to date took."""

    n_images_extracted: int = 0
    n_images_reused: int = 0
    n_partials_computed: int = 0
    n_partials_merged: int = 0
    n_partials_reused: int = 0
    duration_s: float = 0.0
    stages: StageTimes | None = None
    """Where the time of the extraction went; None where nothing was extracted."""

    @staticmethod
    def of(fitted: Fitted) -> FingerprintReport:
        """What fitting a DNA took."""
        work = fitted.work
        return FingerprintReport(
            n_images_extracted=work.n_images_extracted,
            n_images_reused=fitted.commit.n_images - work.n_images_extracted,
            n_partials_computed=work.n_computed,
            n_partials_merged=work.n_merged,
            n_partials_reused=work.n_reused,
            duration_s=round(fitted.duration_s, 3),
            stages=work.stages,
        )


@dataclass
class DatasetReport:
    """What was done for one dataset. `problem` says why it is not up to date, if it is not."""

    dataset: str
    state: State
    n_images: int = 0
    n_quarantined: int = 0
    n_shards: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[str, FingerprintReport] = field(default_factory=dict)
    problem: Problem | None = None
    remark: str = ""
    """What is odd, and no problem."""
    occasion: str = ""
    """What there was to be taken in, if no image changed."""

    def add_ingest(self, done: IngestReport, before: Commit | None) -> None:
        """Report what a refresh did, since the commit that was the last one when the run was planned."""
        commit = done.commit
        self.n_images, self.n_quarantined, self.n_shards = commit.n_images, commit.n_quarantined, len(commit.shards)
        self.changes, self.remark = done.changes, commit.remark
        if done.was_current and commit.seq != (before.seq if before else 0):
            self.occasion = "another run ingested it meanwhile"
        elif images_changed(done.changes):
            self.occasion = ""

    @property
    def is_blocked(self) -> bool:
        """Whether a check blocks it, which is no failure of the run."""
        return self.problem is not None and self.problem.status == "blocked"

    @property
    def n_images_extracted(self) -> int:
        """Over all extractors."""
        return sum(report.n_images_extracted for report in self.fingerprints.values())

    @property
    def why(self) -> str:
        """Why what was done was done, in a few words."""
        if self.problem:
            return str(self.problem).splitlines()[0]
        if self.state == "unchanged":
            return "its DNA was missing" if self.n_images_extracted else "nothing changed since the last run"
        changes = in_words(self.changes)
        if not changes:
            return "no image in it is readable" if self.n_images == 0 else self.occasion
        kinds = [kind for kind, count in self.changes.items() if count]
        return f"{changes}: {_OF_A_VERSION[kinds[0]]}" if len(kinds) == 1 and kinds[0] in _OF_A_VERSION else changes


@dataclass
class PairsReport:
    """What bringing the matrix of one extractor up to date took."""

    n_pairs_computed: int = 0
    n_pairs_reused: int = 0
    left_out: list[str] = field(default_factory=list)
    """Datasets whose DNA is missing or not used: empty, blocked by a check, or failed."""

    @staticmethod
    def of(updated: PairsUpdated) -> PairsReport:
        """What updating the pairs took."""
        return PairsReport(updated.n_computed, updated.n_reused, list(updated.left_out))


@dataclass
class RunReport:
    """What a run did."""

    datasets: list[DatasetReport] = field(default_factory=list)
    pairs: dict[str, PairsReport] = field(default_factory=dict)
    calibrated: list[str] = field(default_factory=list)
    """Extractors whose activation ranges were measured."""
    problems: list[Problem] = field(default_factory=list)
    """What went wrong besides single datasets."""
    duration_s: float = 0.0

    @property
    def failed(self) -> list[DatasetReport]:
        """Datasets that are not up to date."""
        return [report for report in self.datasets if report.problem]

    @property
    def extractions(self) -> dict[str, StageTimes]:
        """Where the time of each extractor that extracted anything went, over all datasets."""
        times: dict[str, StageTimes] = {}
        for dataset in self.datasets:
            for name, done in dataset.fingerprints.items():
                if done.stages:
                    times[name] = times.get(name, StageTimes()).merge(done.stages)
        return times

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON value."""
        facts = asdict(self)
        facts["problems"] = [str(problem) for problem in self.problems]
        facts["problem_codes"] = [problem.code for problem in self.problems]
        facts["extractions"] = {name: times.to_json() for name, times in self.extractions.items()}
        for report, dataset in zip(facts["datasets"], self.datasets, strict=True):
            report.update(problem_json(dataset.problem), why=dataset.why)
        return facts


def begin_report(plan: Plan) -> RunReport:
    """The report of a plan before anything is done: what exists counts as reused."""
    datasets = []
    for item in plan.datasets:
        latest = item.listing.latest if item.listing else None
        occasion = item.listing.occasion if item.listing else ""
        report = DatasetReport(item.name, item.state, problem=item.problem, occasion=occasion)
        if latest:
            report.n_images, report.n_quarantined = latest.n_images, latest.n_quarantined
            report.n_shards, report.remark = len(latest.shards), latest.remark
        datasets.append(report)
    return RunReport(datasets)


def nothing_done(plan: Plan) -> RunReport:
    """The report of a plan with nothing to do: everything is reused."""
    report = begin_report(plan)
    names = [extractor.config.name for extractor in plan.extractors]
    for dataset in report.datasets:
        if not dataset.problem:
            reused = (dataset.n_images, dataset.n_shards)
            dataset.fingerprints = {name: FingerprintReport(0, reused[0], 0, 0, reused[1]) for name in names}
    report.pairs = {extractor.config.name: PairsReport(0, extractor.n_pairs_known) for extractor in plan.extractors}
    return report
