"""What Dagster itself costs: in a large run, for one changed dataset, and on a day on which nothing happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psutil

from benchmarks.measure import Row, ms, python_path, timed
from benchmarks.world import World
from dna_pipelines.project.progress import Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update import calibration, fingerprint, pairs
from dna_pipelines.update.plan import make_plan
from dna_pipelines.update.report import begin_report

N_IMAGES = 10_000
TARGET_SHARE = 0.05
SETTLING_S, WATCHED_S, HOUR_S, DAY_S = 60, 180, 3_600, 86_400


def run(world: World) -> list[Row]:
    images = world.images
    (world.root / "orchestration").mkdir()
    project = ProjectFolder(world.root / "orchestration")
    project.file.create()
    # Half of the tree.
    project.file.add({"name": "large", "uri": str(images), "globs": ["0?/*.png"]})
    imported_s = _import_s()
    total_s, ours_s = _run(project)
    share = (total_s - ours_s + imported_s) / (total_s + imported_s)
    project.file.add({"name": "small", "uri": str(images / "10")})
    _run(project)
    before = _size(project.dagster_home)
    world.add_image(10)
    changed_s, changed_ours_s = _run(project)
    grown = _size(project.dagster_home) - before
    idle_s, grown_bytes, logs_bytes = _idle(project)
    day = DAY_S / WATCHED_S
    kept_mb = (grown_bytes * DAY_S + logs_bytes * HOUR_S) / WATCHED_S / 1e6
    return [
        Row(
            f"the first run of a dataset of {N_IMAGES:,} images with builtin, Dagster's own share",
            f"{total_s - ours_s:.2f} s, and {imported_s:.2f} s to import it",
            f"{total_s + imported_s:.1f} s in all",
            f"{share:.1%}",
            "<= 5 %",
            share <= TARGET_SHARE,
            "what is left when the manifest, ranges, DNA, distances, matrix and their descriptions are taken away; a "
            "larger network has a smaller share",
        ),
        Row(
            "one changed dataset (manifest, DNA, distances, matrix; in one process)",
            f"{ms(changed_s - changed_ours_s)}, {grown / 1e3:,.0f} kB in its databases",
            f"{ms(changed_s)} in all",
            "",
        ),
        Row(
            f"an idle day of `dna ui` (web page, daemon, code server; measured for {WATCHED_S} s and multiplied)",
            f"{idle_s * day:,.0f} s of processor time; {kept_mb:,.1f} MB in Dagster's home",
            f"{(grown_bytes + logs_bytes) * day / 1e6:,.1f} MB a day without retention",
            f"{idle_s / WATCHED_S:.1%} of one core",
            note="ticks are kept for a day and what they printed for an hour, so an idle project grows no further",
        ),
    ]


def _run(project: ProjectFolder) -> tuple[float, float]:
    """Seconds of bringing everything up to date, and those that are spent outside of Dagster."""
    from dna_pipelines.orchestration.assets import fingerprints, ingestion
    from dna_pipelines.orchestration.headless import bring_up_to_date

    plan = make_plan(ProjectFolder(project.root))
    functions = [
        (ingestion, "refresh"), (ingestion, "describe_manifest"), (calibration, "ensure_ranges"),
        (fingerprint, "fit"), (pairs, "update_pairs"), (fingerprints, "find_matrix"), (fingerprints, "describe_matrix"),
        (fingerprints, "describe_dna"), (fingerprints, "describe_pairs"),
    ]  # fmt: skip
    spent: list[float] = []
    with contextlib.ExitStack() as stack:
        for module, name in functions:
            stack.enter_context(mock.patch.object(module, name, _timing(getattr(module, name), spent)))
        total_s, _ = timed(lambda: bring_up_to_date(project, plan, begin_report(plan), Silent()))
    return total_s, sum(spent)


def _timing(function, spent: list[float]):
    def call(*arguments, **named):
        seconds, result = timed(lambda: function(*arguments, **named))
        spent.append(seconds)
        return result

    return call


def _import_s() -> float:
    """What a process pays to have Dagster, beyond what it needs anyway."""
    code = (
        "import time, dna_pipelines.update.fingerprint\nstarted = time.perf_counter()\n"
        "import dna_pipelines.orchestration.headless\nprint(time.perf_counter() - started)"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=python_path())
        for _ in range(4)
    ]
    return min(float(process.stdout) for process in done)


def _idle(project: ProjectFolder) -> tuple[float, int, int]:
    """Of `WATCHED_S` in which nothing changes: processor seconds, bytes of databases, bytes of what ticks printed."""
    home = project.dagster_home
    with _ui(project) as process:
        time.sleep(SETTLING_S)
        seconds, logs, all_of_it = _processor_s(process), _size(home / "storage"), _size(home)
        time.sleep(WATCHED_S)
        logs, all_of_it = _size(home / "storage") - logs, _size(home) - all_of_it
        return _processor_s(process) - seconds, all_of_it - logs, logs


@contextlib.contextmanager
def _ui(project: ProjectFolder) -> Iterator[psutil.Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dna_pipelines.cli.main", "--root", str(project.root), "ui", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=python_path(), start_new_session=True, **quiet) as started:
        try:
            yield psutil.Process(started.pid)
        finally:
            os.killpg(started.pid, signal.SIGINT)


def _processor_s(process: psutil.Process) -> float:
    """Of a process and all it started, those that ended included."""
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
