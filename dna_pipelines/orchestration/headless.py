"""`dna run`: the assets of everything that is not up to date, materialized in this process."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from dna_pipelines.errors import UserError
from dna_pipelines.orchestration.build import build_assets
from dna_pipelines.orchestration.dagster_private import range_tags
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.keys import MANIFEST, key_of, op_name
from dna_pipelines.orchestration.orphaned_runs import reap
from dna_pipelines.orchestration.partitions import DATASETS, sync_partitions
from dna_pipelines.orchestration.per_dataset import MOST_OF_A_RUN
from dna_pipelines.orchestration.problems import problem_of
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.scanning import raw_event
from dna_pipelines.project.current import publish
from dna_pipelines.project.problem import Problem
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit
from dna_pipelines.update.ingest import changes_since
from dna_pipelines.update.listing import Listing
from dna_pipelines.update.plan import DatasetPlan, Plan, blocked_problem, missing_dnas
from dna_pipelines.update.recorder import Recorder
from dna_pipelines.update.report import DatasetReport, FingerprintReport, RunReport

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def bring_up_to_date(project: ProjectFolder, plan: Plan, report: RunReport, progress: Progress) -> None:
    """Carry out a plan, and complete its `report`.

    A dataset that fails does not stop the others.

    Raises:
        Interrupted: when `progress` interrupts a step.
    """
    started = time.monotonic()
    project.lake.tidy()
    with open_instance(project) as instance:
        HeadlessRun(project, instance, report, progress).follow(plan)
    publish(project)
    report.duration_s = time.monotonic() - started


def replace_ranges(
    project: ProjectFolder, extractor: str, progress: Progress, *, on: Sequence[str] = (), file: str = ""
) -> None:
    """Replace the activation ranges of an extractor: measure them again, or read them from a file.

    Args:
        project: where the extractor is used.
        extractor: its name in the datasets file.
        progress: shows the images being measured.
        on: names of datasets to measure on; by default those of the datasets file.
        file: a file to read the ranges from.

    Raises:
        UserError: when that cannot be done.
    """
    report = RunReport()
    with open_instance(project) as instance:
        HeadlessRun(project, instance, report, progress).calibrate(extractor, on=on, file=file)
    if report.problems:
        problem = report.problems[0]
        raise UserError(problem.message, code=problem.code, **problem.facts)


class HeadlessRun:
    """Runs of this process, one for each phase and batch of datasets, recorded in the project's instance."""

    def __init__(
        self, project: ProjectFolder, instance: dg.DagsterInstance, report: RunReport, progress: Progress
    ) -> None:
        self._project = project
        self._instance = instance
        self._report = report
        self._assets = build_assets(project)
        self._recorder, self._listings = Recorder(), dict[str, Listing]()
        resource = ProjectResource(project, progress, self._recorder, self._listings)
        self._resources = {"project_resource": resource}
        self._extractors = [extractor.name for extractor in project.config().extractors]
        self._before: dict[str, Commit | None] = {}
        """The last commit of each dataset when the run was planned."""

    def follow(self, plan: Plan) -> None:
        """Manifests, then ranges, then DNAs, then distances: each phase sees all of the one before."""
        reap(self._instance)
        sync_partitions(self._instance, self._project)
        reports = {report.dataset: report for report in self._report.datasets}
        self._before = {item.name: item.listing.latest for item in plan.datasets if item.listing}
        self._ingest([item for item in plan.datasets if item.state in ("new", "changed")], reports)
        ready = [name for name in self._extractors if self._ensure_ranges(name, plan)]
        # An unchanged dataset with a problem is blocked by a check, which may concern some extractors only.
        self._fit([each for each in reports.values() if not each.problem or each.state == "unchanged"], ready)
        for name in ready:
            self._compare(name)
        self._report_changed_meanwhile(reports.values(), ready)

    def calibrate(self, extractor: str, *, on: Sequence[str] = (), file: str = "") -> None:
        """Replace the activation ranges of an extractor: measure them on some datasets, or read them from a file."""
        config = {"replace": True, "on": list(on), "file": file}
        key = key_of(extractor, "ranges")
        self._note(self._materialize([key], {"ops": {op_name(key): {"config": config}}}))

    def _ingest(self, items: Sequence[DatasetPlan], reports: Mapping[str, DatasetReport]) -> None:
        for item in items:
            if item.listing:
                scan = item.listing.scan
                self._instance.report_runless_asset_event(raw_event(item.name, scan.raw_version, len(scan.entries)))
                self._listings[item.name] = item.listing
        for name, problem in self._materialize_each([MANIFEST], [item.name for item in items]).items():
            reports[name].problem = problem
            if done := self._recorder.ingested.pop(name, None):
                reports[name].add_ingest(done, self._before.get(name))

    def _ensure_ranges(self, extractor: str, plan: Plan) -> bool:
        if not any(item.config.name == extractor and item.to_load for item in plan.extractors):
            return True
        if not any(report.n_images for report in self._report.datasets):
            return False
        self._note(self._materialize([key_of(extractor, "ranges")]))
        measured = self._recorder.measured_ranges.pop(extractor, None)
        if measured:
            self._report.calibrated.append(extractor)
        return measured is not None

    def _fit(self, reports: Sequence[DatasetReport], extractors: Sequence[str]) -> None:
        self._fit_once(reports, extractors)
        changed = [each for each in reports if each.problem and each.problem.status == "source changed"]
        stale = {each.dataset: each for each in changed if each.dataset in self._watched()}
        # Images changed between the scan and the extraction: list the location once more.
        self._ingest([DatasetPlan(self._project.file.dataset(name), "changed") for name in stale], stale)
        for name, report in stale.items():
            if not report.problem:
                report.changes = changes_since(self._project, name, self._before.get(name))
        # The other datasets are fitted too, because another process may have calibrated; otherwise this costs nothing.
        self._fit_once([report for report in reports if not report.problem], extractors)
        for report in reports:
            whole = FingerprintReport(n_images_reused=report.n_images, n_partials_reused=report.n_shards)
            if not report.problem:
                report.fingerprints = dict.fromkeys(extractors, whole) | report.fingerprints

    def _fit_once(self, reports: Sequence[DatasetReport], extractors: Sequence[str]) -> None:
        to_fit: dict[tuple[str, ...], dict[str, DatasetReport]] = {}
        watched = self._watched()
        for report in reports:
            if report.dataset not in watched:
                report.problem = Problem(
                    "dataset.removed-meanwhile",
                    f"{report.dataset} was removed from the datasets file during the run",
                    {"dataset": report.dataset},
                )
                continue
            report.problem = blocked_problem(self._project, report.dataset)
            missing = [name for name in missing_dnas(self._project, report.dataset) if name in extractors]
            if missing:
                to_fit.setdefault(tuple(missing), {})[report.dataset] = report
        for names, some in to_fit.items():
            keys = [key_of(name, "dna") for name in names]
            for dataset, problem in self._materialize_each(keys, list(some)).items():
                some[dataset].problem = problem or blocked_problem(self._project, dataset)
                for name in names:
                    if done := self._recorder.fitted.pop((name, dataset), None):
                        some[dataset].fingerprints[name] = done

    def _watched(self) -> set[str]:
        """The datasets that this run can still update: the datasets file may be edited during the run."""
        partitions = self._instance.get_dynamic_partitions(DATASETS.name or "")
        return {dataset.name for dataset in self._project.config().datasets} & set(partitions)

    def _report_changed_meanwhile(self, reports: Iterable[DatasetReport], extractors: Sequence[str]) -> None:
        """A DNA is missing if other processes changed ranges or images during the run and again during the retry."""
        watched = self._watched()
        for report in (report for report in reports if not report.problem and report.dataset in watched):
            missing = [name for name in missing_dnas(self._project, report.dataset) if name in extractors]
            if missing:
                report.problem = Problem(
                    "dataset.changed-meanwhile",
                    f"the DNA of {', '.join(missing)} is missing, because another process measured the activation "
                    "ranges again or ingested other images during the run; run again",
                    {"dataset": report.dataset, "extractors": missing},
                )

    def _compare(self, extractor: str) -> None:
        self._note(self._materialize([key_of(extractor, "distances"), key_of(extractor, "matrix")]))
        if done := self._recorder.pairs.pop(extractor, None):
            self._report.pairs[extractor] = done

    def _materialize(self, keys: Sequence[dg.AssetKey], config: Mapping[str, object] | None = None) -> Problem | None:
        """Materialize assets without partitions; returns the problem, if there is one."""
        return problem_of(self._run(keys, config=config), self._recorder, keys)

    def _materialize_each(self, keys: Sequence[dg.AssetKey], datasets: Sequence[str]) -> dict[str, Problem | None]:
        """Materialize assets of datasets, many in one run: a run costs as much as the work of a small dataset."""
        problems: dict[str, Problem | None] = {}
        for batch in contiguous(self._instance.get_dynamic_partitions(DATASETS.name or ""), datasets):
            which = {"partition_key": batch[0]} if len(batch) == 1 else {"tags": range_tags(batch[0], batch[-1])}
            result = self._run(keys, **which)
            problems |= {name: problem_of(result, self._recorder, keys, name) for name in batch}
        return problems

    def _run(
        self, keys: Sequence[dg.AssetKey], *, config: Mapping[str, object] | None = None, **which: Any
    ) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            self._assets,
            run_config={**_QUIET, **(config or {})},
            instance=self._instance,
            resources=self._resources,
            raise_on_error=False,
            selection=dg.AssetSelection.assets(*keys),
            **which,
        )

    def _note(self, problem: Problem | None) -> None:
        if problem:
            self._report.problems.append(problem)


def contiguous(partitions: Sequence[str], wanted: Sequence[str]) -> list[list[str]]:
    """Split partitions into batches of consecutive ones, because Dagster runs a range of partitions.

    Args:
        partitions: all that exist, in Dagster's order.
        wanted: some of them.
    """
    batches: list[list[str]] = []
    index_of, last = {name: index for index, name in enumerate(partitions)}, -2
    for name in sorted(wanted, key=index_of.__getitem__):
        if index_of[name] == last + 1 and len(batches[-1]) < MOST_OF_A_RUN:
            batches[-1].append(name)
        else:
            batches.append([name])
        last = index_of[name]
    return batches
