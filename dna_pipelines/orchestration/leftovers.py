"""Runs whose process is gone: after a power cut or a kill, Dagster would wait for them for ever."""

import os
import platform
import time

import dagster as dg
import psutil

PROCESS = "dna/process"
"""The tag that names the process of a run: host, number, and when it began (numbers are used again)."""

_SILENT_S = 300.0
"""A run that has not named its process after so long never got as far."""


def name_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note which process a run is in."""
    instance.add_run_tags(run_id, {PROCESS: _name(os.getpid())})


def reap(instance: dg.DagsterInstance, now: float | None = None) -> list[str]:
    """Mark runs as failed whose process on this machine is gone; returns their ids.

    What they were doing is still lacking, so it is asked for again.
    """
    reaped = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run, started = record.dagster_run, record.start_time or record.create_timestamp.timestamp()
        named = run.tags.get(PROCESS)
        silent = named is None and (time.time() if now is None else now) - started > _SILENT_S
        if silent or (named is not None and _is_gone(named)):
            instance.report_run_failed(run, "the process of this run is gone; what it was doing is asked for again")
            reaped.append(run.run_id)
    return reaped


def _name(number: int) -> str:
    return f"{platform.node()}/{number}/{psutil.Process(number).create_time():.0f}"


def _is_gone(named: str) -> bool:
    host, number, _ = named.rsplit("/", 2)
    if host != platform.node():
        return False
    try:
        return _name(int(number)) != named
    except psutil.NoSuchProcess:
        return True
