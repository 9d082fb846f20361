"""Ctrl-C that stops work where it is safe, and nowhere else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

from dna_pipelines.errors import Interrupted
from dna_pipelines.project.progress import Advance, Progress

T = TypeVar("T")

EXIT_CODE = 128 + signal.SIGINT


class _Stoppable:
    """Progress whose every step is a place to stop."""

    def __init__(self, progress: Progress, stop: Event) -> None:
        self._progress = progress
        self._stop = stop

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """As the progress it stands for; raises `Interrupted` once it should stop."""
        self._check()
        with self._progress.task(description, total) as advance:

            def step(steps: int) -> None:
                advance(steps)
                self._check()

            yield step

    def _check(self) -> None:
        if self._stop.is_set():
            raise Interrupted("interrupted")


def interruptible(work: Callable[[Progress], T], progress: Progress, say: Callable[[str], None]) -> T:
    """Do work that Ctrl-C stops at its next step of progress.

    It runs in a thread of its own, which no signal reaches: a KeyboardInterrupt raised just anywhere ends up
    in libraries that log it, swallow it or take it for a failure. A second Ctrl-C ends the process at once,
    which loses what is in flight and nothing else, because files are written whole or not at all.

    Args:
        work: is given the progress to report its steps to.
        progress: where these steps are shown.
        say: tells the person at the keyboard that the first Ctrl-C was heard.

    Raises:
        KeyboardInterrupt: when the work stopped early.
    """
    stop = Event()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(EXIT_CODE)
        stop.set()
        say("stopping as soon as what is in flight is done; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work, _Stoppable(progress, stop)).result()
    except Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
