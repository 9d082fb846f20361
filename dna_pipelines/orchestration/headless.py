"""`dna run`: the assets of everything that is not up to date, materialized in this process."""

import time
from collections.abc import Mapping, Sequence

import dagster as dg

from dna_pipelines.errors import Interrupted, SourceChanged, UserError
from dna_pipelines.extraction.stages import StageTimes
from dna_pipelines.manifests import ManifestDiff
from dna_pipelines.orchestration.attempts import KIND
from dna_pipelines.orchestration.build import build_assets
from dna_pipelines.orchestration.describe import Metadata, plain
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.keys import MANIFEST, key_of, op_name
from dna_pipelines.orchestration.leftovers import reap
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.scanning import raw_event
from dna_pipelines.orchestration.workbench import Workbench
from dna_pipelines.pipeline.plan import DatasetPlan, Plan, held_back, missing_dnas
from dna_pipelines.pipeline.progress import Progress
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.report import DatasetReport, FingerprintReport, PairsReport, RunReport

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_CHECK_FAILED = "DagsterAssetCheckFailedError"
"""What Dagster raises when a blocking check failed; it does not export it."""


def bring_up_to_date(project: Project, plan: Plan, report: RunReport, progress: Progress) -> None:
    """Do what a plan says, and write down in `report` what came of it.

    One dataset that fails holds back no other.

    Raises:
        Interrupted: when a step of `progress` said so.
    """
    started = time.monotonic()
    project.lake.tidy()
    with open_instance(project) as instance:
        HeadlessRun(project, instance, report, progress).follow(plan)
    project.publish()
    report.duration_s = time.monotonic() - started


def calibrate_anew(
    project: Project, extractor: str, progress: Progress, *, on: Sequence[str] = (), file: str = ""
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
    """Runs of this process, one for each dataset and phase, recorded in the project's instance."""

    def __init__(self, project: Project, instance: dg.DagsterInstance, report: RunReport, progress: Progress) -> None:
        self._project = project
        self._instance = instance
        self._report = report
        self._assets = build_assets(project)
        self._resources = {"workbench": Workbench(project, progress)}
        self._extractors = [extractor.name for extractor in project.config().extractors]

    def follow(self, plan: Plan) -> None:
        """Manifests, then ranges, then DNAs, then distances: each phase sees all of the one before."""
        reap(self._instance)
        sync_partitions(self._instance, self._project)
        reports = {report.dataset: report for report in self._report.datasets}
        for item in plan.datasets:
            if item.state in ("new", "changed"):
                self._ingest(item, reports[item.name])
        ready = [name for name in self._extractors if self._ensure_ranges(name, plan)]
        for report in self._report.datasets:
            # An unchanged one with a problem is held back, in some extractors at least.
            if not report.problem or report.state == "unchanged":
                self._fit(report, ready)
        for name in ready:
            self._compare(name)

    def calibrate(self, extractor: str, *, on: Sequence[str] = (), file: str = "") -> None:
        """Make the activation ranges of an extractor anew: measured on some datasets, or from a file."""
        asked = {"anew": True, "on": list(on), "file": file}
        key = key_of(extractor, "ranges")
        self._note(self._materialize([key], config={"ops": {op_name(key): {"config": asked}}})[1])

    def _ingest(self, item: DatasetPlan, report: DatasetReport) -> None:
        if item.seen:
            scan = item.seen.scan
            self._instance.report_runless_asset_event(raw_event(item.name, scan.raw_version, len(scan.entries)))
        found, report.problem = self._materialize([MANIFEST], item.name)
        if facts := found.get(MANIFEST):
            report.n_images, report.n_quarantined = facts["n_images"], facts["n_quarantined"]
            report.n_shards = facts["n_shards"]
            for what in ManifestDiff().counts():
                report.changes[what] = report.changes.get(what, 0) + facts[f"n_new_{what}"]

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

    def _fit(self, report: DatasetReport, extractors: Sequence[str]) -> None:
        for attempt in (1, 2):
            report.problem = held_back(self._project, report.dataset)
            missing = [name for name in missing_dnas(self._project, report.dataset) if name in extractors]
            keys = {key_of(name, "dna"): name for name in missing}
            if not keys:
                break
            found, problem = self._materialize(list(keys), report.dataset)
            report.problem = problem or held_back(self._project, report.dataset)
            for key, facts in found.items():
                report.fingerprints[keys[key]] = FingerprintReport(
                    n_images_extracted=facts["n_images_extracted"],
                    n_images_reused=facts["n_images"] - facts["n_images_extracted"],
                    n_partials_computed=facts["n_partials_computed"],
                    n_partials_merged=facts["n_partials_merged"],
                    n_partials_reused=facts["n_partials_reused"],
                    duration_s=facts["duration_s"],
                    stages=StageTimes(**facts["stages"]) if "stages" in facts else None,
                )
            if attempt == 2 or not (report.problem or "").startswith(SourceChanged.__name__):
                break
            # Images changed between the scan and the extraction: look once more.
            self._ingest(DatasetPlan(self._project.file.dataset(report.dataset), "changed"), report)
        for name in extractors:
            whole = FingerprintReport(n_images_reused=report.n_images, n_partials_reused=report.n_shards)
            if not report.problem:
                report.fingerprints.setdefault(name, whole)

    def _compare(self, extractor: str) -> None:
        distances = key_of(extractor, "distances")
        found, problem = self._materialize([distances, key_of(extractor, "matrix")])
        self._note(problem)
        if facts := found.get(distances):
            left_out = facts["left_out"].split(", ") if "left_out" in facts else []
            pairs = PairsReport(facts["n_pairs_computed"], facts["n_pairs_reused"], left_out)
            self._report.pairs[extractor] = pairs

    def _materialize(
        self, keys: Sequence[dg.AssetKey], partition: str | None = None, config: Mapping[str, object] | None = None
    ) -> tuple[dict[dg.AssetKey, Metadata], str | None]:
        """The metadata of what was materialized, and what went wrong."""
        result = dg.materialize(
            self._assets,
            run_config={**_QUIET, **(config or {})},
            instance=self._instance,
            resources=self._resources,
            partition_key=partition,
            raise_on_error=False,
            selection=dg.AssetSelection.assets(*keys),
        )
        found = {
            event.asset_key: plain(event.materialization.metadata)
            for event in result.get_asset_materialization_events()
            if event.asset_key
        }
        return found, None if result.success else _problem(result)

    def _note(self, problem: str | None) -> None:
        if problem:
            self._report.problems.append(problem)


def _problem(result: dg.ExecuteInProcessResult) -> str | None:
    """The first failure, in the words of the error where it is one of ours; None if checks alone failed.

    What those withhold is asked of the lake, see `held_back`.
    """
    only_checks = False
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                kind = failure.user_failure_data.metadata[KIND].value
                if kind == Interrupted.__name__:
                    raise Interrupted(failure.user_failure_data.description)
                prefix = f"{kind}: " if kind == SourceChanged.__name__ else ""
                return prefix + failure.user_failure_data.description
            if failure.error and failure.error.cls_name == _CHECK_FAILED:
                only_checks = True
                continue
            if failure.error:
                cause = failure.error.cause or failure.error
                return f"{cause.message.strip()} (unexpected; `dna ui` shows the stack trace of run {result.run_id})"
    return None if only_checks else f"run {result.run_id} failed; `dna ui` shows why"
