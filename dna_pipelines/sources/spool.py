"""Bytes put aside in nameless temporary files, so that memory stays bounded and nothing has a path."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from tempfile import SpooledTemporaryFile
from typing import Generic, Protocol, TypeVar

IN_MEMORY_BYTES = 16 * 2**20
"""What is larger lies on disk, in a file without a name that is gone when it is closed."""


class Spool:
    """Bytes appended in one go and read at any place, from several threads."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 (closed with the last reference)
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.n_bytes = 0

    def append(self, data: bytes) -> int:
        """Add bytes at the end, and return where they begin."""
        self._file.write(data)
        start, self.n_bytes = self.n_bytes, self.n_bytes + len(data)
        return start

    def read(self, start: int, size_bytes: int) -> bytes:
        """Bytes from a place; fewer where it ends before."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size_bytes)


class Held(Protocol):
    """Something that takes space as long as anybody refers to it."""

    @property
    def n_bytes(self) -> int:
        """What it takes."""
        ...


K = TypeVar("K")
T = TypeVar("T", bound=Held)


class Recent(Generic[K, T]):
    """The things used last, made when they are first asked for; threads that want the same wait for one.

    Args:
        make: makes the thing of a key.
        most_bytes: what all together may take; the `fewest` used last are kept even so.
    """

    def __init__(self, make: Callable[[K], T], most_bytes: int = 512 * 2**20, fewest: int = 4) -> None:
        self._make = make
        self._most_bytes = most_bytes
        self._fewest = fewest
        self._lock = threading.Lock()
        self._held: OrderedDict[K, Future[T]] = OrderedDict()

    def use(self, key: K) -> T:
        """The thing of a key."""
        with self._lock:
            future = self._held.get(key)
            mine = future is None
            if future is None:
                future = self._held[key] = Future()
            self._held.move_to_end(key)
        if mine:
            try:
                future.set_result(self._make(key))
            except BaseException as error:
                with self._lock:
                    self._held.pop(key, None)
                future.set_exception(error)
                raise
            self._shrink()
        return future.result()

    def _shrink(self) -> None:
        with self._lock:
            done = [(key, one.result()) for key, one in self._held.items() if one.done() and not one.exception()]
            total = sum(thing.n_bytes for _, thing in done)
            for key, thing in done[: max(len(done) - self._fewest, 0)]:
                if total <= self._most_bytes:
                    return
                total -= thing.n_bytes
                # Whoever reads it at this moment keeps it alive.
                del self._held[key]
