"""How long work says how far it is: bars in terminals and notebooks, else lines at the start, every minute and the end.

Terminals show rich's bars, which the command line needs anyway. In notebooks rich (and tqdm) draw through ipywidgets,
which not every front end has, so a notebook gets an HTML `<progress>` element that is updated in place: every front end
shows that, and a saved notebook keeps its last state.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dna_pipelines.api.arguments import wrong_type
from dna_pipelines.api.interruption import interruptible
from dna_pipelines.project.progress import Advance, Progress, Silent

T = TypeVar("T")

Shown = bool | Progress
"""Of a method's `progress`: True for what suits this terminal or notebook, False for silence, or an object of yours."""

_DRAW_EVERY_S = 0.1


def watched(work: Callable[[Progress], T], progress: Shown) -> T:
    """Do work, show how far it is, and let Ctrl-C stop it where nothing is lost.

    Args:
        work: is given the progress to report its steps to.
        progress: True for what suits this terminal or notebook, False for silence, or an object of your own with the
            method `task` of `dna_pipelines.project.progress.Progress`.

    Raises:
        KeyboardInterrupt: when Ctrl-C was pressed, also if the work was done before its next step, so that a loop or
            the next cells of a notebook stop as well; at the second Ctrl-C at once, and the work ends at its next step.
    """
    shown, was_pressed = progress_for(progress), False

    def first() -> None:
        nonlocal was_pressed
        was_pressed = True
        if progress:
            print("stopping as soon as what is in flight is done", file=sys.stderr)  # noqa: T201

    def again() -> None:
        raise KeyboardInterrupt

    result = interruptible(work, shown, first, again)
    if was_pressed:
        raise KeyboardInterrupt
    return result


def progress_for(progress: Shown) -> Progress:
    """What shows progress here; see `watched`."""
    if not isinstance(progress, bool):
        if not hasattr(progress, "task"):
            raise wrong_type("progress", progress, "True, False or an object with the method task")
        return progress
    if not progress:
        return Silent()
    if _in_notebook():
        return NotebookProgress()
    from dna_pipelines.api.terminal_progress import LineProgress, TerminalProgress

    return TerminalProgress() if sys.stderr.isatty() else LineProgress(ends=True)


def _in_notebook() -> bool:
    """Whether a kernel with rich output runs this; looks only at what is imported."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """One HTML bar for each task below the cell, updated in place."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """A bar for the time of a `with` block; it stays, and says how far the work came."""
        if total == 0:
            yield lambda _steps: None
            return
        import IPython.display

        notebook: Any = IPython.display  # without types
        handle = notebook.display(notebook.HTML(_bar(description, 0, total)), display_id=True)
        done, drawn = 0, time.monotonic()

        def advance(steps: int) -> None:
            nonlocal done, drawn
            done += steps
            if done >= total or time.monotonic() - drawn >= _DRAW_EVERY_S:
                drawn = time.monotonic()
                handle.update(notebook.HTML(_bar(description, done, total)))

        try:
            yield advance
        finally:
            handle.update(notebook.HTML(_bar(description, done, total)))


def _bar(description: str, done: int, total: int) -> str:
    return f'<progress value="{done}" max="{total}"></progress> {html.escape(description)} {done:,}/{total:,}'
