"""Orphaned runs, whose process has ended: after a power cut or a kill, Dagster would wait for them for ever."""

import errno
import os
import platform
import socket
import time
from pathlib import Path

import dagster as dg
import psutil

from dna_pipelines.orchestration.dagster_private import code_server_of

STARTING, STARTED = dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED

PROCESS = "dna/process"
"""The tag that names the process of a run: host, process id, and start time, because ids are reused."""

HOST = "dna/host"
"""The tag that names the machine whose daemon asked for a run."""

_HANDED_OVER_S = 30.0

_SILENT_S = 300.0
"""A run that has not named its process after this long never started to work."""


def name_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Record which process a run is in."""
    instance.add_run_tags(run_id, {PROCESS: _name(os.getpid())})


def reap(instance: dg.DagsterInstance, now: float | None = None) -> list[str]:
    """Mark runs as failed whose process on this machine has ended; returns their ids.

    What they were computing is still out of date, so Dagster requests it again.
    """
    now, reaped = time.time() if now is None else now, []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[STARTING, STARTED])):
        run, began = record.dagster_run, record.start_time or record.create_timestamp.timestamp()
        if named := run.tags.get(PROCESS):
            has_ended = _has_ended(named)
        elif run.tags.get(HOST) == platform.node():
            has_ended = _has_no_server(run, now - began)
        else:
            has_ended = run.status == STARTED and now - began > _SILENT_S
        if has_ended:
            instance.report_run_failed(run, "the process of this run has ended; its work is requested again")
            reaped.append(run.run_id)
    return reaped


def _has_no_server(run: dg.DagsterRun, age_s: float) -> bool:
    """Whether the code server that starts a run has ended. While it runs, it notices by itself when a run ends."""
    server_of_run = code_server_of(run)
    if server_of_run is None:
        # Handing a run over to a server takes no time.
        return age_s > _HANDED_OVER_S
    path = server_of_run.get("socket")
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(1.0)
        return server.connect_ex(path) in (errno.ENOENT, errno.ECONNREFUSED)


def _name(number: int) -> str:
    return f"{platform.node()}/{number}/{_began(number)}"


def _began(number: int) -> str:
    """When a process began, in a way that does not change when the clock is set.

    Raises:
        psutil.NoSuchProcess: when there is none.
    """
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return f"{psutil.Process(number).create_time():.0f}"
    # The 22nd field, in ticks since the system started; the second field is a name, which may contain any character.
    return f"{text.rpartition(')')[2].split()[19]}-{boot[:8]}"


def _has_ended(named: str) -> bool:
    host, number, _ = named.rsplit("/", 2)
    if host != platform.node():
        return False
    try:
        return _name(int(number)) != named
    except psutil.NoSuchProcess:
        return True
