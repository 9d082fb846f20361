"""Looking at the places of datasets, as often as the datasets file says."""

import json
import platform
import time
from collections.abc import Mapping
from contextlib import suppress

import dagster as dg

from dna_pipelines.errors import DnaError, LakeError
from dna_pipelines.orchestration.keys import RAW
from dna_pipelines.orchestration.orphaned_runs import HOST, name_process
from dna_pipelines.orchestration.project_resource import InjectedProject
from dna_pipelines.update.staleness import scan

_PATIENCE_S = 60.0

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
def look_at_places(context: dg.OpExecutionContext, config: Places, project_resource: InjectedProject) -> None:
    """One place that cannot be reached does not hold back the others."""
    project, problems = project_resource.project, []
    name_process(context.instance, context.run.run_id)
    for name in config.datasets:
        at = time.time()
        try:
            sighting = scan(project, project.file.dataset(name))
            # Only now, so that what a kill prevents is done again.
            project.lake.versions.note_scanned(name, at)
        except DnaError as error:
            problems.append(f"{name}: {error}")
            with suppress(LakeError):
                project.lake.versions.note_scanned(name, at)
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
    context: dg.SensorEvaluationContext, project_resource: InjectedProject
) -> dg.SensorResult | dg.SkipReason:
    """Launch a scan of the datasets that are due, unless one is under way."""
    try:
        config, lake = project_resource.project.config(), project_resource.project.lake
        lake.try_writing()
    except DnaError as error:
        return dg.SkipReason(str(error))
    intervals = {dataset.name: config.scan_interval_s(dataset) for dataset in config.datasets}
    due, asked = decide(time.time(), lake.versions.scanned(), json.loads(context.cursor or "{}"), intervals)
    if not due:
        return dg.SkipReason("no dataset is due")
    if context.instance.get_runs(dg.RunsFilter(job_name=scan_job.name, statuses=_UNDER_WAY), limit=1):
        return dg.SkipReason("a scan is under way")
    request = dg.RunRequest(
        run_config={"ops": {"look_at_places": {"config": {"datasets": due}}}}, tags={HOST: platform.node()}
    )
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked))


def decide(
    now: float, scanned: Mapping[str, float], asked: Mapping[str, float], intervals: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """Which datasets are due, and when a scan of each was asked for last if one of these is now.

    Args:
        now: in seconds since 1970.
        scanned: when each was scanned last; a dataset that does not occur never was.
        asked: when that was asked for last; a scan that was lost is asked for again, but not at once.
            Times in the future were noted while the clock was wrong, and count as never.
        intervals: how often each is to be scanned, in seconds; infinite for never.
    """
    never = float("-inf")
    scanned, asked = ({name: at for name, at in some.items() if at <= now} for some in (scanned, asked))
    due = [
        name
        for name, every_s in intervals.items()
        if every_s < float("inf")
        and now - scanned.get(name, never) >= every_s
        and now - asked.get(name, never) >= min(every_s, _PATIENCE_S)
    ]
    kept = {name: at for name, at in asked.items() if name in intervals}
    return due, {**kept, **dict.fromkeys(due, now)}
