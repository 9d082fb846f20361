"""`dna run`: the assets of everything that is not up to date, materialized in this process."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from dna_pipelines.errors import UserError
from dna_pipelines.extraction.stream.stage_times import StageTimes
from dna_pipelines.manifests import ManifestDiff
from dna_pipelines.orchestration.build import build_assets
from dna_pipelines.orchestration.dagster_private import range_tags
from dna_pipelines.orchestration.describe import Metadata, plain
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
from dna_pipelines.update.plan import DatasetPlan, Plan, held_back, missing_dnas
from dna_pipelines.update.report import DatasetReport, FingerprintReport, PairsReport, RunReport

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def bring_up_to_date(project: ProjectFolder, plan: Plan, report: RunReport, progress: Progress) -> None:
    """Do what a plan says, and write down in `report` what came of it.

    One dataset that fails holds back no other.

    Raises:
        Interrupted: when a step of `progress` said so.
    """
    started = time.monotonic()
    project.lake.tidy()
    with open_instance(project) as instance:
        HeadlessRun(project, instance, report, progress).follow(plan)
    publish(project)
    report.duration_s = time.monotonic() - started


def calibrate_anew(
    project: ProjectFolder, extractor: str, progress: Progress, *, on: Sequence[str] = (), file: str = ""
) -> None:
    """Measure the activation ranges of an extractor again, on some datasets, or take them from a file.

    Raises:
        UserError: when that cannot be done.
    """
    report = RunReport()
    with open_instance(project) as instance:
        HeadlessRun(project, instance, report, progress).calibrate(extractor, on=on, file=file)
    if report.problems:
        raise UserError(report.problems[0])


class HeadlessRun:
    """Runs of this process, one for each phase and batch of datasets, recorded in the project's instance."""

    def __init__(
        self, project: ProjectFolder, instance: dg.DagsterInstance, report: RunReport, progress: Progress
    ) -> None:
        self._project = project
        self._instance = instance
        self._report = report
        self._assets = build_assets(project)
        self._resources = {"project_resource": ProjectResource(project, progress)}
        self._extractors = [extractor.name for extractor in project.config().extractors]
        self._before: dict[str, Commit | None] = {}
        """What each dataset was when the run was planned."""

    def follow(self, plan: Plan) -> None:
        """Manifests, then ranges, then DNAs, then distances: each phase sees all of the one before."""
        reap(self._instance)
        sync_partitions(self._instance, self._project)
        reports = {report.dataset: report for report in self._report.datasets}
        self._before = {item.name: item.seen.latest for item in plan.datasets if item.seen}
        self._ingest([item for item in plan.datasets if item.state in ("new", "changed")], reports)
        ready = [name for name in self._extractors if self._ensure_ranges(name, plan)]
        # An unchanged one with a problem is held back, in some extractors at least.
        self._fit([each for each in reports.values() if not each.problem or each.state == "unchanged"], ready)
        for name in ready:
            self._compare(name)
        self._tell_of_what_moved(reports.values(), ready)

    def calibrate(self, extractor: str, *, on: Sequence[str] = (), file: str = "") -> None:
        """Make the activation ranges of an extractor anew: measured on some datasets, or from a file."""
        asked = {"anew": True, "on": list(on), "file": file}
        key = key_of(extractor, "ranges")
        self._note(self._materialize([key], {"ops": {op_name(key): {"config": asked}}})[1])

    def _ingest(self, items: Sequence[DatasetPlan], reports: Mapping[str, DatasetReport]) -> None:
        for item in items:
            if item.seen:
                scan = item.seen.scan
                self._instance.report_runless_asset_event(raw_event(item.name, scan.raw_version, len(scan.entries)))
        for name, (found, problem) in self._materialize_each([MANIFEST], [item.name for item in items]).items():
            report = reports[name]
            report.problem = problem
            if facts := found.get(MANIFEST):
                report.n_images, report.n_quarantined = facts["n_images"], facts["n_quarantined"]
                report.n_shards, report.remark = facts["n_shards"], facts.get("remark", "")
                report.changes = {what: facts[f"n_new_{what}"] for what in ManifestDiff().counts()}
                before = self._before.get(name)
                if facts["was_current"] and facts["commit"] != (before.seq if before else 0):
                    report.occasion = "another run took it in meanwhile"

    def _ensure_ranges(self, extractor: str, plan: Plan) -> bool:
        if not any(item.config.name == extractor and item.to_load for item in plan.extractors):
            return True
        if not any(report.n_images for report in self._report.datasets):
            return False
        found, problem = self._materialize([key_of(extractor, "ranges")])
        self._note(problem)
        if any(facts["measured_now"] for facts in found.values()):
            self._report.calibrated.append(extractor)
        return bool(found)

    def _fit(self, reports: Sequence[DatasetReport], extractors: Sequence[str]) -> None:
        self._fit_once(reports, extractors)
        changed = [each for each in reports if each.problem and each.problem.kind == "source changed"]
        stale = {each.dataset: each for each in changed if each.dataset in self._watched()}
        # Images changed between the scan and the extraction: look once more.
        self._ingest([DatasetPlan(self._project.file.dataset(name), "changed") for name in stale], stale)
        for name, report in stale.items():
            if not report.problem:
                report.changes = changes_since(self._project, name, self._before.get(name))
        # Also of the others, because somebody may have calibrated meanwhile: costs nothing where nobody did.
        self._fit_once([report for report in reports if not report.problem], extractors)
        for report in reports:
            whole = FingerprintReport(n_images_reused=report.n_images, n_partials_reused=report.n_shards)
            if not report.problem:
                report.fingerprints = dict.fromkeys(extractors, whole) | report.fingerprints

    def _fit_once(self, reports: Sequence[DatasetReport], extractors: Sequence[str]) -> None:
        lacking: dict[tuple[str, ...], dict[str, DatasetReport]] = {}
        watched = self._watched()
        for report in reports:
            if report.dataset not in watched:
                report.problem = Problem("it was removed from the datasets file meanwhile")
                continue
            report.problem = held_back(self._project, report.dataset)
            missing = [name for name in missing_dnas(self._project, report.dataset) if name in extractors]
            if missing:
                lacking.setdefault(tuple(missing), {})[report.dataset] = report
        for names, some in lacking.items():
            keys = {key_of(name, "dna"): name for name in names}
            for dataset, (found, problem) in self._materialize_each(list(keys), list(some)).items():
                some[dataset].problem = problem or held_back(self._project, dataset)
                for key, facts in found.items():
                    some[dataset].fingerprints[keys[key]] = _fingerprint_report(facts)

    def _watched(self) -> set[str]:
        """The datasets that a run can be asked for now: somebody may edit the datasets file while it works."""
        partitions = self._instance.get_dynamic_partitions(DATASETS.name or "")
        return {dataset.name for dataset in self._project.config().datasets} & set(partitions)

    def _tell_of_what_moved(self, reports: Iterable[DatasetReport], extractors: Sequence[str]) -> None:
        """A DNA that was made is missing if other processes changed what it has to be of, and did so again."""
        watched = self._watched()
        for report in (one for one in reports if not one.problem and one.dataset in watched):
            missing = [name for name in missing_dnas(self._project, report.dataset) if name in extractors]
            if missing:
                report.problem = Problem(
                    f"its DNA of {', '.join(missing)} is missing, because another process measured the activation "
                    "ranges anew or took in other images meanwhile; run again"
                )

    def _compare(self, extractor: str) -> None:
        distances = key_of(extractor, "distances")
        found, problem = self._materialize([distances, key_of(extractor, "matrix")])
        self._note(problem)
        if facts := found.get(distances):
            left_out = facts["left_out"].split(", ") if "left_out" in facts else []
            pairs = PairsReport(facts["n_pairs_computed"], facts["n_pairs_reused"], left_out)
            self._report.pairs[extractor] = pairs

    def _materialize(
        self, keys: Sequence[dg.AssetKey], config: Mapping[str, object] | None = None
    ) -> tuple[dict[dg.AssetKey, Metadata], Problem | None]:
        """The metadata of what was materialized, and what went wrong."""
        result = self._run(keys, config=config)
        return self._found(result).get(None, {}), problem_of(result, keys)

    def _materialize_each(
        self, keys: Sequence[dg.AssetKey], datasets: Sequence[str]
    ) -> dict[str, tuple[dict[dg.AssetKey, Metadata], Problem | None]]:
        """The same of every dataset; a run takes many, because it costs as much as the work of a small one."""
        done: dict[str, tuple[dict[dg.AssetKey, Metadata], Problem | None]] = {}
        for batch in contiguous(self._instance.get_dynamic_partitions(DATASETS.name or ""), datasets):
            if len(batch) == 1:
                result = self._run(keys, partition_key=batch[0])
            else:
                result = self._run(keys, tags=range_tags(batch[0], batch[-1]))
            found = self._found(result)
            done |= {name: (found.get(name, {}), problem_of(result, keys, name)) for name in batch}
        return done

    def _found(self, result: dg.ExecuteInProcessResult) -> dict[str | None, dict[dg.AssetKey, Metadata]]:
        """By partition and asset, the metadata of what was materialized.

        The result itself lacks what a step that failed in the end had made before.
        """
        found: dict[str | None, dict[dg.AssetKey, Metadata]] = {}
        for entry in self._instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            event = entry.get_dagster_event()
            if event.asset_key:
                metadata = plain(event.step_materialization_data.materialization.metadata)
                found.setdefault(event.partition, {})[event.asset_key] = metadata
        return found

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
            self._report.problems.append(str(problem))


def contiguous(partitions: Sequence[str], wanted: Sequence[str]) -> list[list[str]]:
    """Runs of partitions that follow each other, none longer than a batch: what Dagster can ask of one run.

    Args:
        partitions: all there are, in Dagster's order.
        wanted: some of them.
    """
    batches: list[list[str]] = []
    place, last = {name: index for index, name in enumerate(partitions)}, -2
    for name in sorted(wanted, key=place.__getitem__):
        if place[name] == last + 1 and len(batches[-1]) < MOST_OF_A_RUN:
            batches[-1].append(name)
        else:
            batches.append([name])
        last = place[name]
    return batches


def _fingerprint_report(facts: Metadata) -> FingerprintReport:
    return FingerprintReport(
        n_images_extracted=facts["n_images_extracted"],
        n_images_reused=facts["n_images"] - facts["n_images_extracted"],
        n_partials_computed=facts["n_partials_computed"],
        n_partials_merged=facts["n_partials_merged"],
        n_partials_reused=facts["n_partials_reused"],
        duration_s=facts["duration_s"],
        stages=StageTimes(**facts["stages"]) if "stages" in facts else None,
    )
