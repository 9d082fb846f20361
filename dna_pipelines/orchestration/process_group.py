"""A program and all that it starts, ended together."""

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
"""How long a program has to end by itself."""

_POLL_S = 0.1

News = SimpleQueue[int | None]
"""Signals as they come; None when the program is over. The one queue that a signal handler may put into while the
thread it interrupts waits for it."""


def run_together(
    command: Sequence[str], environment: Mapping[str, str] | None = None, patience_s: float = PATIENCE_S
) -> int | None:
    """Run a program until it ends, or SIGINT, SIGTERM or SIGHUP comes. Nothing that it started is left then.

    All of it is interrupted as by Ctrl-C, and after `patience_s`, or at a second signal, killed. Call it from the
    main thread.

    Returns:
        The number of the signal; None if the program ended by itself.
    """
    news: News = SimpleQueue()

    def hear(number: int, _frame: FrameType | None) -> None:
        news.put(number)

    # Shells ignore SIGINT for what they start in the background, and programs inherit that, unless it is handled here.
    # SIGHUP is ignored for what `nohup` starts, which somebody asked for.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, hear) for number in numbers}
    try:
        # A group of its own tells what belongs to it even after its parent is gone, and Ctrl-C reaches it once: from
        # here.
        process = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603 (the caller's own command)
        threading.Thread(target=_tell_end, args=(process, news), daemon=True).start()
        asked = news.get()
        _end(process.pid, patience_s, news)
        return asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_end(process: subprocess.Popen[bytes], news: News) -> None:
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
    # Some systems refuse a signal to a group of which all are over.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    """Whether any process of a group still runs; one that is over, but that nobody has waited for, does not."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
    return False
