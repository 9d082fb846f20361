"""What Dagster keeps for ever of a project in which nothing happens, and its own retention does not reach.

Every look of `keep_current` leaves a file of 10 kB (14,000 a day), and every scan a run with a database of its own.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from dna_pipelines.errors import DnaError
from dna_pipelines.maintenance.prune import prune_as_configured
from dna_pipelines.orchestration.automation import automation_sensor
from dna_pipelines.orchestration.scanning import scan_job
from dna_pipelines.orchestration.workbench import Workbench
from dna_pipelines.project.progress import counted

_LOOKS_S = 3600.0
"""How long what `keep_current` printed at a tick is kept."""

_SCANS = {dg.DagsterRunStatus.SUCCESS: timedelta(days=1), dg.DagsterRunStatus.FAILURE: timedelta(days=30)}
"""How long runs of `scan` are kept: as long as the ticks of sensors."""

_AT_ONCE = 200
"""So many runs are removed at a time, so that a tick stays short."""


@dg.sensor(
    name="retention",
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Removes old runs of `scan`, what `keep_current` printed more than an hour ago, and versions of "
    "datasets beyond `keep_versions` of the datasets file.",
)
def retention_sensor(context: dg.SensorEvaluationContext, workbench: dg.ResourceParam[Workbench]) -> dg.SkipReason:
    """Forget what is old; no run is ever needed for it."""
    n_logs = forget_looks(context.instance, context.repository_name or "")
    n_runs = forget_scans(context.instance)
    try:
        pruned = prune_as_configured(workbench.project)
    except DnaError as error:
        return dg.SkipReason(str(error))
    lake = f"; beyond keep_versions: {pruned}" if pruned else ""
    return dg.SkipReason(f"removed {counted(n_runs, 'old scan')} and {counted(n_logs, 'log')} of ticks{lake}")


def forget_looks(instance: dg.DagsterInstance, repository: str, now: float | None = None) -> int:
    """Remove old logs of the ticks of `keep_current`, where they are files of this machine; returns how many."""
    manager, now = instance.compute_log_manager, time.time() if now is None else now
    if not isinstance(manager, LocalComputeLogManager):
        return 0
    folder = Path(manager.get_captured_local_path([repository, automation_sensor.name, "0"], "err")).parent
    old = [file for file in folder.glob("*") if file.stat().st_mtime < now - _LOOKS_S]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)


def forget_scans(instance: dg.DagsterInstance, now: float | None = None) -> int:
    """Remove old runs of `scan` with all they left; returns how many. What they noted stays in the lake."""
    moment = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    n_removed = 0
    for status, kept in _SCANS.items():
        old = dg.RunsFilter(job_name=scan_job.name, statuses=[status], updated_before=moment - kept)
        for run in instance.get_runs(old, limit=_AT_ONCE):
            instance.delete_run(run.run_id)
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            if isinstance(instance.event_log_storage, SqliteEventLogStorage):
                # Of a run that was removed, Dagster keeps the empty database.
                Path(instance.event_log_storage.path_for_shard(run.run_id)).unlink(missing_ok=True)
            n_removed += 1
    return n_removed
