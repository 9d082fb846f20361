"""Dagster's web page, daemon and code server, for one project."""

import fcntl
import glob
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from dna_pipelines.errors import UserError
from dna_pipelines.orchestration.instance import open_instance, prepare_home
from dna_pipelines.orchestration.orphaned_runs import reap
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.process_group import PartLost, run_together
from dna_pipelines.orchestration.request_guard import ALLOWED_HOSTS
from dna_pipelines.project.project import ProjectFolder

_MOST_RESTARTS = 5
"""Restarts after the code server was lost, such as for lack of memory, before that is an error."""


def serve(
    project: ProjectFolder, host: str, port: int, on_start: Callable[[], None], allowed_hosts: Sequence[str] = ()
) -> int | None:
    """Serve the web page and keep the project current, until a signal ends it.

    Runs that it interrupts are requested again the next time.

    Args:
        project: what to serve.
        host: the address of the web page.
        port: its port.
        on_start: called before Dagster starts, and again when it is restarted because its code server was lost.
        allowed_hosts: host names for which the page answers, beside those of this machine (see `request_guard`).

    Returns:
        The number of the signal; None if Dagster ended by itself.

    Raises:
        UserError: when the path of the project is a glob pattern to Dagster (`dagster.home-pattern`), the project is
            served already (`dagster.served-already`), the port is not free
            (`dagster.port`), or the code server is lost again and again (`dagster.code-server-lost`).
    """
    home = prepare_home(project)
    _require_plain(home)
    with _alone(home):
        require_free(host, port)
        with open_instance(project) as instance:
            reap(instance)
            sync_partitions(instance, project)
        # `dg dev`, which supersedes `dagster dev`, needs a project in a layout of its own.
        quiet = {"PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"}
        # Python would import modules of the working folder before its own: a `queue.py` there would run.
        own = {
            "DAGSTER_HOME": str(home),
            "DNA_ROOT": str(project.root),
            ALLOWED_HOSTS: ",".join(allowed_hosts),
            "PYTHONSAFEPATH": "1",
        }
        command = [sys.executable, "-m", "dna_pipelines.orchestration.development", "-m", "dna_pipelines.definitions"]
        for _ in range(1 + _MOST_RESTARTS):
            on_start()
            try:
                return run_together(
                    [*command, "-h", host, "-p", str(port)],
                    {**quiet, **os.environ, **own},
                    folder=home,
                    is_whole=_CodeServer().is_there,
                )
            except PartLost:
                continue
    raise UserError(
        f"Dagster's code server ended {1 + _MOST_RESTARTS} times; its output is above (often the memory is exhausted: "
        "see `workers` in the datasets file)",
        code="dagster.code-server-lost",
        n_times=1 + _MOST_RESTARTS,
    )


def require_free(host: str, port: int) -> None:
    """Refuse a port on which another program listens, whose page would be taken for this one.

    Raises:
        UserError: (`dagster.port`) when it is taken, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            # The port of a server that has just ended is free.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        raise UserError(
            f"the web page cannot use port {port} of {host}: {reason}; choose another with --port",
            code="dagster.port",
            host=host,
            port=port,
            reason=reason,
        ) from error


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second process from serving the project; the system releases the lock when this process ends."""
    with (home / ".served").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            process = file.read().strip()
            raise UserError(
                f"`dna ui` serves this project already (process {process}); end that first",
                code="dagster.served-already",
                process=process,
                path=str(home),
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class _CodeServer:
    """Whether Dagster still has its code server, once it has started one."""

    def __init__(self) -> None:
        self._seen = False

    def is_there(self, dagster: psutil.Process) -> bool:
        """Whether a process of Dagster is its code server, or none has been one yet."""
        present = any("code-server" in _arguments(process) for process in dagster.children(recursive=True))
        self._seen = self._seen or present
        return present or not self._seen


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def _require_plain(home: Path) -> None:
    if glob.escape(str(home)) != str(home):
        raise UserError(
            f"Dagster's daemon cannot read its settings in {home}, because the path contains * or [; rename the "
            "folder, or keep the project current with `dna run` instead, which can",
            code="dagster.home-pattern",
            path=str(home),
        )
