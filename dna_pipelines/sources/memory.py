"""How much memory reading may take: of one file that is compressed, and of all readers together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dna_pipelines.sources.temporary_files import BOMB_RATIO

_IN_MEMORY_FLOOR = 256 * 2**20


def most_in_memory(size_bytes: int | None) -> int:
    """The bytes that a part of a file may unpack to in memory; images that are compressed already hardly shrink."""
    return (size_bytes or 0) * BOMB_RATIO + _IN_MEMORY_FLOOR


class ByteBudget:
    """Bytes that threads hold at one time; who would exceed the budget waits.

    Holders must not reserve again. What is larger than the budget waits until it is alone.
    """

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, n_bytes: int) -> Iterator[None]:
        """Hold bytes, as soon as they are free."""
        share = min(n_bytes, self._n_bytes)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= self._n_bytes)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()


IN_FLIGHT = ByteBudget(2**30)
"""The bytes of files that all readers of this process may hold, as far as they are known beforehand."""
