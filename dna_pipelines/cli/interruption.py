"""Ctrl-C at the command line: the first stops the work where it is safe, the second ends the process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TypeVar

from dna_pipelines.api import interruption
from dna_pipelines.project.progress import Progress

T = TypeVar("T")

EXIT_CODE = 128 + signal.SIGINT


def interruptible(work: Callable[[Progress], T], progress: Progress, say: Callable[[str], None]) -> T:
    """Do work that Ctrl-C stops at its next step of progress; a second Ctrl-C ends the process at once.

    That loses what is in flight and nothing else, because files are written whole or not at all.

    Args:
        work: is given the progress to report its steps to.
        progress: where these steps are shown.
        say: shows that the first Ctrl-C was received.

    Raises:
        KeyboardInterrupt: when the work stopped early.
    """

    def first() -> None:
        say("stopping as soon as what is in flight is done; Ctrl-C again stops at once")

    return interruption.interruptible(work, progress, first, lambda: os._exit(EXIT_CODE))
