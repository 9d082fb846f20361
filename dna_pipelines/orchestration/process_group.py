"""A program and the processes that it starts, which end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

import psutil

PATIENCE_S = 15.0
"""Seconds that a program has to end by itself."""

_POLL_S = 0.1
_CHECK_S = 5.0

News = SimpleQueue[int | None]
"""Signals in the order of their arrival; None when the program has ended. `SimpleQueue` is the only queue that a signal
handler may put into while the thread that it interrupts waits for it."""


class PartLost(Exception):
    """A process without which a program is of no use ended, and the program did not."""


def run_together(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
    *,
    folder: Path | None = None,
    is_whole: Callable[[psutil.Process], bool] = lambda _process: True,
) -> int | None:
    """Run a program until it ends or SIGINT, SIGTERM or SIGHUP arrives. Then no process that it started still runs.

    All its processes are interrupted as by Ctrl-C, and after `patience_s`, or at a second signal, killed; likewise
    where this process is killed. Call this from the main thread.

    Args:
        command: the program and its arguments.
        environment: its environment variables; by default those of this process.
        patience_s: see above.
        folder: its working folder; by default that of this process.
        is_whole: asked every few seconds whether the processes that the program needs still run.

    Returns:
        The number of the signal; None if the program ended by itself.

    Raises:
        PartLost: when `is_whole` said twice in a row that a process is missing. The others have been ended.
    """
    news: News = SimpleQueue()

    def enqueue(number: int, _frame: FrameType | None) -> None:
        news.put(number)

    # Shells ignore SIGINT for what they start in the background, and programs inherit that, unless it is handled here.
    # `nohup` lets its program ignore SIGHUP on purpose, so an ignored SIGHUP stays ignored.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, enqueue) for number in numbers}
    try:
        # A group of its own identifies its processes even after their parent has ended, and Ctrl-C reaches them only
        # from here.
        process = subprocess.Popen(command, env=environment, cwd=folder, process_group=0)  # noqa: S603 (the caller's)
        with _guardian(process.pid, patience_s):
            threading.Thread(target=_enqueue_end, args=(process, news), daemon=True).start()
            try:
                return _wait(process.pid, news, is_whole)
            finally:
                _end(process.pid, patience_s, news)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(pid: int, news: News, is_whole: Callable[[psutil.Process], bool]) -> int | None:
    """The first of the news."""
    n_missing = 0
    while True:
        with suppress(Empty):
            return news.get(timeout=_CHECK_S)
        with suppress(psutil.Error):
            n_missing = 0 if is_whole(psutil.Process(pid)) else n_missing + 1
        # One that is replaced may be missing for a moment.
        if n_missing > 1:
            raise PartLost


@contextmanager
def _guardian(group: int, patience_s: float) -> Iterator[None]:
    """Let a process of its own end a group if this process is killed in a `with` block."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian.py")), str(group), str(patience_s)]
    # In a session of its own no signal of the terminal reaches it.
    guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    try:
        yield
    finally:
        # It may have been killed.
        with suppress(BrokenPipeError):
            guardian.communicate(b"x")


def _enqueue_end(process: subprocess.Popen[bytes], news: News) -> None:
    process.wait()
    news.put(None)


def _end(group: int, patience_s: float, news: News) -> None:
    _send(group, signal.SIGINT)
    deadline, again = time.monotonic() + patience_s, None
    while _is_alive(group) and time.monotonic() < deadline and again is None:
        with suppress(Empty):
            again = news.get(timeout=_POLL_S)
    _send(group, signal.SIGKILL)


def _send(group: int, number: int) -> None:
    # Some systems refuse a signal to a group whose processes have all ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    """Whether any process of a group still runs; a zombie does not."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False
