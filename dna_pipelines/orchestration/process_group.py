"""A program and the processes that it starts, which end together."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

import psutil

PATIENCE_S = 15.0
"""Seconds that a program has to end by itself."""

_POLL_S = 0.1

News = SimpleQueue[int | None]
"""Signals in the order of their arrival; None when the program has ended. `SimpleQueue` is the only queue that a signal
handler may put into while the thread that it interrupts waits for it."""


def run_together(
    command: Sequence[str], environment: Mapping[str, str] | None = None, patience_s: float = PATIENCE_S
) -> int | None:
    """Run a program until it ends or SIGINT, SIGTERM or SIGHUP arrives. Then no process that it started still runs.

    All its processes are interrupted as by Ctrl-C, and after `patience_s`, or at a second signal, killed. Call this
    from the main thread.

    Returns:
        The number of the signal; None if the program ended by itself.
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
        process = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603 (the caller's own command)
        threading.Thread(target=_enqueue_end, args=(process, news), daemon=True).start()
        asked = news.get()
        _end(process.pid, patience_s, news)
        return asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
