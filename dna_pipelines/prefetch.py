"""Work that threads do a little ahead of the consumer of its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(tasks: Iterable[Callable[[], T] | None], n_threads: int) -> Generator[T]:
    """The results of tasks, in the order of the tasks; at most `n_threads` + 1 are begun and not yet taken.

    Tasks are asked for by the caller's own thread, and None among them gives a chance to give away what is done.
    Closing the iterator, or an error in a task or between them, waits until the tasks that were begun are
    done. Where one of these fails as well, its error is raised from the other.
    """
    begun: deque[Future[T]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for task in tasks:
                if task:
                    begun.append(pool.submit(task))
                while begun and (len(begun) > n_threads or begun[0].done()):
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        except BaseException as error:
            for one in begun:
                if failure := one.exception():
                    raise failure from error
            raise
