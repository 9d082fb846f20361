"""Removes what Dagster would store for ever although nothing changes, and what its own retention settings do not cover.

Every tick of `keep_current` leaves a file of 10 kB (14,000 a day), and every scan a run with its own database.
"""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from dna_pipelines.errors import DnaError
from dna_pipelines.maintenance.prune import prune_as_configured
from dna_pipelines.orchestration.automation import automation_sensor
from dna_pipelines.orchestration.dagster_private import database_of_run, log_file
from dna_pipelines.orchestration.project_resource import InjectedProject
from dna_pipelines.orchestration.scanning import scan_job
from dna_pipelines.project.progress import counted

_TICK_LOGS_S = 3600.0
"""How long the output of a tick of `keep_current` is kept."""

_SCANS = {dg.DagsterRunStatus.SUCCESS: timedelta(days=1), dg.DagsterRunStatus.FAILURE: timedelta(days=30)}
"""How long runs of `scan` are kept: as long as the ticks of sensors."""

_AT_ONCE = 200
"""Runs removed per tick at most, so that a tick stays short."""


@dg.sensor(
    name="retention",
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Removes old runs of `scan`, output of `keep_current` older than an hour, and versions of datasets "
    "beyond `keep_versions` of the datasets file.",
)
def retention_sensor(context: dg.SensorEvaluationContext, project_resource: InjectedProject) -> dg.SkipReason:
    """Remove what is old; this needs no run."""
    n_logs = remove_tick_logs(context.instance, context.repository_name or "")
    n_runs = remove_scans(context.instance)
    try:
        pruned = prune_as_configured(project_resource.project)
    except DnaError as error:
        return dg.SkipReason(str(error))
    lake = f"; beyond keep_versions: {pruned}" if pruned else ""
    return dg.SkipReason(f"removed {counted(n_runs, 'old scan')} and {counted(n_logs, 'log')} of ticks{lake}")


def remove_tick_logs(instance: dg.DagsterInstance, repository: str, now: float | None = None) -> int:
    """Remove old logs of the ticks of `keep_current`, where they are files of this machine; returns how many."""
    now, example = time.time() if now is None else now, log_file(instance, [repository, automation_sensor.name, "0"])
    if example is None:
        return 0
    old = [file for file in example.parent.glob("*") if file.stat().st_mtime < now - _TICK_LOGS_S]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def remove_scans(instance: dg.DagsterInstance, now: float | None = None) -> int:
    """Remove old runs of `scan` with their logs and events; returns how many. Scan results stay in the lake."""
    moment = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    n_removed = 0
    for status, kept in _SCANS.items():
        old = dg.RunsFilter(job_name=scan_job.name, statuses=[status], updated_before=moment - kept)
        for run in instance.get_runs(old, limit=_AT_ONCE):
            instance.delete_run(run.run_id)
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            if database := database_of_run(instance, run.run_id):
                # Dagster keeps the empty database of a run that was removed.
                database.unlink(missing_ok=True)
            n_removed += 1
    return n_removed
