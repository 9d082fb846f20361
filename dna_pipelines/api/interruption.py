"""Ctrl-C that stops work where it is safe, and nowhere else."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from dna_pipelines.errors import Interrupted
from dna_pipelines.project.progress import Advance, Progress

T = TypeVar("T")

_WAKE_S = 0.5


class _Stoppable:
    """Progress that stops the work at its next step once it was asked to."""

    def __init__(self, progress: Progress, stop: threading.Event) -> None:
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


def interruptible(
    work: Callable[[Progress], T], progress: Progress, first: Callable[[], None], again: Callable[[], None]
) -> T:
    """Do work that Ctrl-C stops at its next step of progress.

    It runs in a thread of its own, which no signal reaches: a KeyboardInterrupt raised just anywhere ends up
    in libraries that log it, swallow it or take it for a failure. Python delivers signals to the main thread alone,
    so elsewhere the work simply runs, and the caller in the main thread decides about Ctrl-C.

    Args:
        work: is given the progress to report its steps to.
        progress: where these steps are shown.
        first: called at the first Ctrl-C.
        again: called at every further one; may raise, and then the work ends by itself at its next step.

    Raises:
        KeyboardInterrupt: when the work stopped early. What was finished is kept: files of the lake are written whole
            or not at all.
    """
    if threading.current_thread() is not threading.main_thread():
        return work(progress)
    stop = threading.Event()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            again()
            return
        stop.set()
        first()

    before = signal.signal(signal.SIGINT, on_interrupt)
    pool = ThreadPoolExecutor(1)
    try:
        # Notebooks find the cell that output belongs to by context variables.
        done = pool.submit(contextvars.copy_context().run, work, _Stoppable(progress, stop))
        # Python runs the handler in this thread, which has to wake up for it: the system may have interrupted another.
        while not wait([done], _WAKE_S).done:
            pass
        return done.result()
    except Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
        pool.shutdown(wait=False)
