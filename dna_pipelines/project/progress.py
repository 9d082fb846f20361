"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Something that shows progress: a terminal, a log, or nothing."""

    def task(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """A bar for the time of a `with` block; call what it gives with the steps done."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Nothing to see."""
        yield lambda _steps: None


def counted(n: int, what: str, several: str = "") -> str:
    """A number of things as people say it."""
    return f"{n:,} {what if n == 1 else several or f'{what}s'}"
