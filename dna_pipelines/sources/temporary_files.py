"""Bytes kept in unnamed temporary files, so that memory stays bounded and no file has a path."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from tempfile import SpooledTemporaryFile
from typing import Generic, Protocol, TypeVar

IN_MEMORY_BYTES = 16 * 2**20
"""More bytes than this go to disk, in an unnamed file that is removed when it is closed."""

BOMB_RATIO = 100
"""How many times its size a file may unpack to, beyond what any small file may."""
_BOMB_FLOOR = 2**30


def most_unpacked(size_bytes: int | None) -> int:
    """The bytes that a file of images may unpack to; images that are compressed already hardly shrink."""
    return (size_bytes or 0) * BOMB_RATIO + _BOMB_FLOOR


class TemporaryBytes:
    """Bytes that one thread appends and several threads then read at any offset."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 (closed with the last reference)
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.n_bytes = 0

    def append(self, data: bytes) -> int:
        """Add bytes at the end, and return their offset."""
        self._file.write(data)
        start, self.n_bytes = self.n_bytes, self.n_bytes + len(data)
        return start

    def read(self, start: int, size_bytes: int) -> bytes:
        """The bytes at an offset; fewer where the data end before."""
        with self._lock:
            self._file.seek(start)
            return self._file.read(size_bytes)


class Sized(Protocol):
    """A value that takes space as long as it is referenced."""

    @property
    def n_bytes(self) -> int:
        """The space it takes."""
        ...


K = TypeVar("K")
T = TypeVar("T", bound=Sized)


class RecentValues(Generic[K, T]):
    """The values used most recently, each made on first use; threads that ask for one key wait for one value.

    Args:
        make: makes the value of a key.
        most_bytes: the space that all values may take together.
        fewest: values that are kept even beyond that.
    """

    def __init__(self, make: Callable[[K], T], most_bytes: int = 512 * 2**20, fewest: int = 4) -> None:
        self._make = make
        self._most_bytes = most_bytes
        self._fewest = fewest
        self._lock = threading.Lock()
        self._values: OrderedDict[K, Future[T]] = OrderedDict()

    def get(self, key: K) -> T:
        """The value of a key."""
        with self._lock:
            future = self._values.get(key)
            is_new = future is None
            if future is None:
                future = self._values[key] = Future()
            self._values.move_to_end(key)
        if is_new:
            try:
                future.set_result(self._make(key))
            except BaseException as error:
                with self._lock:
                    self._values.pop(key, None)
                future.set_exception(error)
                raise
            self._shrink()
        return future.result()

    def _shrink(self) -> None:
        with self._lock:
            done = [
                (key, future.result())
                for key, future in self._values.items()
                if future.done() and not future.exception()
            ]
            total = sum(value.n_bytes for _, value in done)
            for key, value in done[: max(len(done) - self._fewest, 0)]:
                if total <= self._most_bytes:
                    return
                total -= value.n_bytes
                # A thread that reads the value at this moment keeps it alive.
                del self._values[key]
