"""Long work in a terminal: its progress, and Ctrl-C that stops it where that is safe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.text import Text

from dna_pipelines.api.interruption import interruptible
from dna_pipelines.cli import terminal
from dna_pipelines.project.progress import Advance

T = TypeVar("T")

EXIT_CODE = 128 + signal.SIGINT
_LINE_EVERY_S = 60.0


def run_with_progress(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Do work that shows its progress and that Ctrl-C stops at its next step.

    A second Ctrl-C ends the process at once, which loses what is in flight and nothing else, because files are
    written whole or not at all.

    Args:
        work: is called with the arguments, and with `progress`, to which it reports its steps.
        args: of the work.
        kwargs: of the work.

    Raises:
        KeyboardInterrupt: when the work stopped early.
    """

    def first() -> None:
        terminal.note("stopping once the work in flight is done; press Ctrl-C again to stop at once")

    def again() -> None:
        os._exit(EXIT_CODE)

    return interruptible(lambda steps: work(*args, progress=steps, **kwargs), TerminalProgress(), first, again)


class TerminalProgress:
    """Progress on standard error: bars with rate and time left in a terminal, otherwise a line a minute."""

    def __init__(self) -> None:
        self._bars: Bars | None = None

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """A bar for the time of a `with` block."""
        if total == 0:
            yield lambda _steps: None
        elif not terminal.err.is_terminal:
            yield _Lines(description, total).advance
        elif self._bars:
            # Work within work: one more line of the bars that are shown.
            yield from _bar(self._bars, description, total)
        else:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            with Bars(*columns, console=terminal.err, transient=True) as bars:
                self._bars = bars
                try:
                    yield from _bar(bars, description, total)
                finally:
                    self._bars = None


def _bar(bars: Bars, description: str, total: int) -> Iterator[Advance]:
    bar = bars.add_task(description, total=total)
    try:
        yield lambda steps: bars.advance(bar, steps)
    finally:
        bars.remove_task(bar)


class _Lines:
    """A line a minute, for logs."""

    def __init__(self, description: str, total: int) -> None:
        self._description, self._total, self._done = description, total, 0
        self._started = self._last = time.monotonic()

    def advance(self, steps: int) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last < _LINE_EVERY_S or not self._done:
            return
        self._last = now
        rate = self._done / (now - self._started)
        left = max(self._total - self._done, 0) / rate
        terminal.note(
            f"{self._description}: {self._done:,} of {self._total:,} ({rate:.3g}/s, about {_duration(left)} left)"
        )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.3g}/s" if task.speed else "", style="progress.data.speed")
