"""Scans of the locations of datasets, as often as the datasets file says."""

import json
import platform
import time
from collections.abc import Mapping
from contextlib import suppress

import dagster as dg

from dna_pipelines.errors import DnaError, LakeError, UnknownName
from dna_pipelines.orchestration.keys import DATA_VERSION, RAW
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


class Scanned(dg.Config):
    """Which datasets to scan."""

    datasets: list[str]


@dg.op(description="Lists the locations of datasets, and records every change in the lake and as an event of `raw`.")
def scan_locations(context: dg.OpExecutionContext, config: Scanned, project_resource: InjectedProject) -> None:
    """A location that cannot be reached does not stop the others."""
    project, problems = project_resource.project, dict[str, DnaError]()
    name_process(context.instance, context.run.run_id)
    for name in config.datasets:
        at = time.time()
        try:
            result = scan(project, project.file.dataset(name))
            # After the scan, so that a scan that is killed is done again.
            project.lake.versions.note_scanned(name, at)
        except UnknownName:
            # It was removed or renamed since the sensor requested the scan.
            context.log.info("%s is no longer in the datasets file, and is not scanned", name)
            continue
        except DnaError as error:
            problems[name] = error
            with suppress(LakeError):
                project.lake.versions.note_scanned(name, at)
            continue
        if result:
            context.log.info("%s changed: %d files", name, result.n_files)
            context.instance.report_runless_asset_event(raw_event(name, result.raw_version, result.n_files))
    if problems:
        codes = {name: {"code": error.code, "message": str(error)} for name, error in problems.items()}
        raise dg.Failure(
            "\n".join(f"{name}: {error}" for name, error in problems.items()),
            metadata={"n_unreachable": len(problems), "problems": dg.MetadataValue.json(codes)},
            allow_retries=False,
        )


def raw_event(dataset: str, raw_version: str, n_files: int) -> dg.AssetMaterialization:
    """The event of a new version of a dataset's location."""
    tags = {DATA_VERSION: raw_version}
    return dg.AssetMaterialization(RAW, partition=dataset, metadata={"n_files": n_files}, tags=tags)


@dg.job(name="scan", executor_def=dg.in_process_executor, description="Checks whether locations of datasets changed.")
def scan_job() -> None:
    """One step for all locations that are due."""
    scan_locations()


@dg.sensor(
    name="scan_schedule",
    job=scan_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches a scan of every dataset as often as its `scan_every` in the datasets file says.",
)
def scan_sensor(
    context: dg.SensorEvaluationContext, project_resource: InjectedProject
) -> dg.SensorResult | dg.SkipReason:
    """Launch a scan of the datasets that are due, unless a scan is in progress."""
    try:
        config, lake = project_resource.project.config(), project_resource.project.lake
        lake.try_writing()
    except DnaError as error:
        return dg.SkipReason(str(error))
    intervals = {dataset.name: config.scan_interval_s(dataset) for dataset in config.datasets}
    due, asked = decide(time.time(), lake.versions.scanned(), json.loads(context.cursor or "{}"), intervals)
    if not due:
        return dg.SkipReason("No dataset is due for a scan.")
    if context.instance.get_runs(dg.RunsFilter(job_name=scan_job.name, statuses=_UNDER_WAY), limit=1):
        return dg.SkipReason("A scan is in progress.")
    request = dg.RunRequest(
        run_config={"ops": {"scan_locations": {"config": {"datasets": due}}}}, tags={HOST: platform.node()}
    )
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked))


def decide(
    now: float, scanned: Mapping[str, float], asked: Mapping[str, float], intervals: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """Which datasets are due, and when a scan of each was requested last, including the scan that you request now.

    Args:
        now: in seconds since 1970.
        scanned: when each was scanned last; a dataset without an entry never was.
        asked: when a scan of each was requested last; a lost scan is requested again, but not at once.
            Times in the future were recorded while the clock was wrong, and count as never.
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
