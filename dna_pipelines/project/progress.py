"""Showing the progress of long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """A display of progress: a terminal, a log, or none."""

    def task(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Show progress during a `with` block, which gets a function to call with the number of steps done."""
        ...


class Silent:
    """A display that shows nothing."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Show nothing."""
        yield lambda _steps: None


def counted(n: int, what: str, several: str = "") -> str:
    """A number with its noun, in the singular or the plural."""
    return f"{n:,} {what if n == 1 else several or f'{what}s'}"
