"""Progress in a terminal: bars with rate and time left; and in a log: a line a minute."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from dna_pipelines.project.progress import Advance

_LINE_EVERY_S = 60.0


def to_standard_error(line: str) -> None:
    """Write a line at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


class TerminalProgress:
    """Bars with rate and time left; work within work adds a line.

    Args:
        console: where they are drawn; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._bars: Bars | None = None

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """A bar for the time of a `with` block."""
        if total == 0:
            yield lambda _steps: None
        elif self._bars:
            yield from _bar(self._bars, description, total)
        else:
            columns = (
                # The name of a slice has brackets, which are no marks.
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            with Bars(*columns, console=self._console or Console(stderr=True), transient=True) as bars:
                self._bars = bars
                try:
                    yield from _bar(bars, description, total)
                finally:
                    self._bars = None


class LineProgress:
    """A line a minute with rate and time left, for logs; work shorter than a minute writes none, unless `ends`.

    Args:
        ends: also writes a line at the start and one at the end of each task.
        every_s: seconds between two lines.
        write: is called with each line; by default it goes to standard error.
    """

    def __init__(
        self,
        every_s: float = _LINE_EVERY_S,
        write: Callable[[str], None] = to_standard_error,
        *,
        ends: bool = False,
    ) -> None:
        self._every_s = every_s
        self._write = write
        self._ends = ends

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Lines for the time of a `with` block."""
        done = 0
        started = last = time.monotonic()

        def advance(steps: int) -> None:
            nonlocal done, last
            done += steps
            now = time.monotonic()
            if now - last < self._every_s or not done:
                return
            last = now
            rate = done / max(now - started, 1e-9)
            left = _duration(max(total - done, 0) / rate)
            self._write(f"{description}: {done:,} of {total:,} ({rate:.3g}/s, about {left} left)")

        writes_ends = self._ends and total > 0
        if writes_ends:
            self._write(f"{description}: 0 of {total:,}")
        try:
            yield advance
        finally:
            if writes_ends:
                self._write(f"{description}: {done:,} of {total:,} in {time.monotonic() - started:.1f} s")


def _bar(bars: Bars, description: str, total: int) -> Iterator[Advance]:
    bar = bars.add_task(description, total=total)
    try:
        yield lambda steps: bars.advance(bar, steps)
    finally:
        bars.remove_task(bar)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.3g}/s" if task.speed else "", style="progress.data.speed")
