"""Looking at the places of datasets, as often as the datasets file says."""

import json
import time
from collections.abc import Mapping

import dagster as dg

from dna_pipelines.errors import DnaError
from dna_pipelines.orchestration.keys import RAW
from dna_pipelines.orchestration.leftovers import name_process
from dna_pipelines.orchestration.workbench import Workbench
from dna_pipelines.pipeline.watch import scan

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class Places(dg.Config):
    """Which datasets to look at."""

    datasets: list[str]


@dg.op(description="List the places of datasets; whatever changed is noted in the lake and as an event of `raw`.")
def look_at_places(context: dg.OpExecutionContext, config: Places, workbench: dg.ResourceParam[Workbench]) -> None:
    """One place that cannot be reached does not hold back the others."""
    project, problems = workbench.project, []
    name_process(context.instance, context.run.run_id)
    try:
        project.lake.try_writing()
    except DnaError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for name in config.datasets:
        try:
            sighting = scan(project, project.file.dataset(name))
        except DnaError as error:
            problems.append(f"{name}: {error}")
            continue
        if sighting:
            context.log.info("%s changed: %d files", name, sighting.n_files)
            context.instance.report_runless_asset_event(raw_event(name, sighting.raw_version, sighting.n_files))
    if problems:
        raise dg.Failure("\n".join(problems), metadata={"n_unreachable": len(problems)}, allow_retries=False)


def raw_event(dataset: str, raw_version: str, n_files: int) -> dg.AssetMaterialization:
    """A new version of a dataset's place."""
    tags = {"dagster/data_version": raw_version}
    return dg.AssetMaterialization(RAW, partition=dataset, metadata={"n_files": n_files}, tags=tags)


@dg.job(name="scan", executor_def=dg.in_process_executor, description="Look whether datasets changed.")
def scan_job() -> None:
    """One step for all places that are due."""
    look_at_places()


@dg.sensor(
    name="scan_schedule",
    job=scan_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches scans as often as `scan_every` in the datasets file says.",
)
def scan_sensor(
    context: dg.SensorEvaluationContext, workbench: dg.ResourceParam[Workbench]
) -> dg.SensorResult | dg.SkipReason:
    """Launch a scan of the datasets that are due, unless one is under way."""
    try:
        config = workbench.project.config()
    except DnaError as error:
        return dg.SkipReason(str(error))
    intervals = {dataset.name: config.scan_interval_s(dataset) for dataset in config.datasets}
    due, scanned = decide(time.time(), json.loads(context.cursor or "{}"), intervals)
    if not due:
        return dg.SkipReason("no dataset is due")
    if context.instance.get_runs(dg.RunsFilter(job_name=scan_job.name, statuses=_UNDER_WAY), limit=1):
        return dg.SkipReason("a scan is under way")
    request = dg.RunRequest(run_config={"ops": {"look_at_places": {"config": {"datasets": due}}}})
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(scanned))


def decide(
    now: float, scanned: Mapping[str, float], intervals: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """Which datasets are due, and when each was scanned if these are.

    Args:
        now: in seconds since 1970.
        scanned: when each was scanned last; a dataset that does not occur never was.
        intervals: how often each is to be scanned, in seconds; infinite for never.
    """
    due = [
        name for name, every_s in intervals.items() if now - scanned.get(name, float("-inf")) >= every_s < float("inf")
    ]
    kept = {name: at for name, at in scanned.items() if name in intervals}
    return due, {**kept, **dict.fromkeys(due, now)}
