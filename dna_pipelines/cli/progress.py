"""Long work in a terminal: its progress, and Ctrl-C that stops it where that is safe."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, TypeVar

from dna_pipelines.api.interruption import interruptible
from dna_pipelines.api.terminal_progress import LineProgress, TerminalProgress
from dna_pipelines.cli import terminal
from dna_pipelines.project.progress import Progress

T = TypeVar("T")

EXIT_CODE = 128 + signal.SIGINT


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

    return interruptible(lambda steps: work(*args, progress=steps, **kwargs), terminal_progress(), first, again)


def terminal_progress() -> Progress:
    """Bars on standard error in a terminal, otherwise a line a minute."""
    if terminal.err.is_terminal:
        return TerminalProgress(terminal.err)
    return LineProgress(write=terminal.note)
