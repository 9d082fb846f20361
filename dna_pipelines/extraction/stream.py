"""The activation stream: batches of one fixed shape through a network, on several threads.

Every batch has the same shape (the last is padded), and torch runs with one thread in each worker,
so what an image gives depends on that image alone, and not on how many workers there are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from dna_pipelines.errors import SourceChanged, Unreadable
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.inputs import network_input
from dna_pipelines.extraction.probe import neurons_second

ReadImage = Callable[[str], bytes]
"""From a digest to the bytes that have it."""

Consume = Callable[[slice, torch.Tensor], None]
"""Takes a layer's place among all neurons and its (n_images, n_neurons, n_positions) activations,
which are only valid during the call."""

T = TypeVar("T")


@dataclass(frozen=True)
class Batch(Generic[T]):
    """At most `batch_size` images, what is done with their activations, and a tag to know it by."""

    digests: list[str]
    consume: Consume
    tag: T


class ActivationStream:
    """Runs batches through an extractor."""

    def __init__(self, extractor: Extractor, read: ReadImage, workers: int = 0) -> None:
        self._extractor = extractor
        self._read = read
        self._workers = workers or os.cpu_count() or 1
        self._parts = list(extractor.layers.slices.values())

    def run(self, batches: Iterable[Batch[T]]) -> Iterator[Batch[T]]:
        """Every batch once it is done, in order; closing the iterator stops after those in flight.

        Raises:
            SourceChanged: when an image can no longer be decoded.
        """
        in_flight: deque[tuple[Batch[T], Future[None]]] = deque()
        with _one_thread_each(), ThreadPoolExecutor(self._workers, thread_name_prefix="extract") as pool:
            try:
                for batch in batches:
                    in_flight.append((batch, pool.submit(self._process, batch)))
                    if len(in_flight) > 2 * self._workers:
                        yield _finished(*in_flight.popleft())
                while in_flight:
                    yield _finished(*in_flight.popleft())
            finally:
                for _, future in in_flight:
                    future.cancel()

    def _process(self, batch: Batch[T]) -> None:
        extractor, n_images = self._extractor, len(batch.digests)
        prepare = extractor.network.preprocessing
        inputs = np.zeros((extractor.batch_size, 3, prepare.size_px, prepare.size_px), np.float32)
        for row, digest in enumerate(batch.digests):
            try:
                inputs[row] = network_input(self._read(digest), prepare)
            except Unreadable as error:
                raise SourceChanged(f"the image with digest {digest} could be decoded before, now: {error}") from error

        def sink(index: int, output: torch.Tensor) -> None:
            batch.consume(self._parts[index], neurons_second(output[:n_images], extractor.axes[index]))

        extractor.taps.run(torch.from_numpy(inputs).to(extractor.device), sink)


def _finished(batch: Batch[T], future: Future[None]) -> Batch[T]:
    future.result()
    return batch


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One torch thread per worker: more workers, not more threads, use more cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
