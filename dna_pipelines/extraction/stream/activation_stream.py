"""The activation stream: batches of one fixed shape through a network, every stage beside the others.

    dispatcher ─ images ─▶ readers: read, decode ─ filled batches ─▶ lanes: forward, fold ─▶ caller

Readers wait for disks and networks without holding a core; as many of them decode at a time as there are workers, and
as many lanes run beside them if the network is on the CPU. The number of batches in progress is bounded, so a slow
stage slows the stages before it. Every batch has the same shape (the last is padded), and torch uses one thread in
each lane, so the activations of an image depend on that image alone, and not on the number of threads or devices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.errors import SourceChanged, Unreadable
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.inputs import network_input
from dna_pipelines.extraction.stream.lanes import Batch, Device, Job, open_device, serve
from dna_pipelines.extraction.stream.stage_times import StageClock, n_cores
from dna_pipelines.imaging import Encoded, Preprocessing
from dna_pipelines.manifests import ReadImage

T = TypeVar("T")

_MIN_READERS = 8
_IMAGES_PER_TASK = 4
"""Images that a reader takes at once: a task per image would cost as much as decoding small images."""

_SPARE_BATCHES = 2
"""Batches to fill while every lane has one."""


class ActivationStream:
    """Runs batches through an extractor.

    Args:
        extractors: the same extractor, once for every device.
        read: returns the encoded image of a digest.
        workers: number of threads that may decode at a time, and of lanes if the network runs on the CPU; 0 for one
            of each per core.
        clock: measures the times of the stages.
    """

    def __init__(
        self, extractors: Sequence[Extractor], read: ReadImage, workers: int = 0, clock: StageClock | None = None
    ) -> None:
        self._extractor = extractors[0]
        self._read, self._clock = read, clock or StageClock()
        self.n_workers = workers or n_cores()
        self.n_readers = max(_MIN_READERS, 2 * self.n_workers)
        hosts = [extractor for extractor in extractors if extractor.device == "cpu"]
        accelerators = [extractor for extractor in extractors if extractor.device != "cpu"]
        # Simulated devices (several extractors on the CPU) share the workers.
        n_lanes = max(self.n_workers, len(hosts)) if hosts else 0
        lanes = [hosts[index % len(hosts)] for index in range(n_lanes)] + accelerators
        self._devices = [open_device(extractor) for extractor in lanes]
        self._n_buffers = sum(device.depth + 1 for device in self._devices) + _SPARE_BATCHES
        self._clock.use(n_readers=self.n_readers, n_workers=self.n_workers, n_devices=len(accelerators))

    @property
    def most_in_flight(self) -> int:
        """The most images that are read and not yet yielded."""
        # Finished batches, whose partials the caller may still have to write, count too.
        return 2 * self._n_buffers * self._extractor.batch_size

    def run(self, batches: Iterable[Batch[T]]) -> Generator[Batch[T]]:
        """Yield every batch when it is finished; closing the iterator stops after those that are being computed.

        Batches are yielded in the order in which they finish.

        Raises:
            SourceChanged: `source.undecodable` when an image can no longer be decoded.
            ExtractorError: `network.memory` when a device has too little memory.
        """
        with reproducible():
            run: _Run[T] = _Run(self._extractor, self._read, self._clock, self.n_workers, self._n_buffers)
            try:
                yield from run.results(batches, self.n_readers, self._devices)
            finally:
                run.close()


class _Run(Generic[T]):
    """The threads of one run, and the queues between them."""

    def __init__(
        self, extractor: Extractor, read: ReadImage, clock: StageClock, n_workers: int, n_buffers: int
    ) -> None:
        self._extractor, self._read, self._clock = extractor, read, clock
        self._images: SimpleQueue[tuple[Job[T], int] | None] = SimpleQueue()
        self._ready: SimpleQueue[Job[T] | None] = SimpleQueue()
        self._done: SimpleQueue[Batch[T] | BaseException | int] = SimpleQueue()
        self._buffers = _Buffers(extractor, n_buffers)
        self._in_flight = threading.Semaphore(2 * n_buffers)
        # A reader holds one of these while it decodes. (A semaphore is Python code, and slower than a small image.)
        self._cores: SimpleQueue[None] = SimpleQueue()
        for _ in range(n_workers):
            self._cores.put(None)
        self._counting = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def results(self, batches: Iterable[Batch[T]], n_readers: int, devices: Sequence[Device]) -> Iterator[Batch[T]]:
        """Start all threads, and yield finished batches."""
        self._start("dispatch", lambda: self._dispatch(batches))
        for _ in range(n_readers):
            self._start("read", self._fill)
        for device in devices:
            self._start("lane", lambda device=device: serve(device, self._ready, self._finish))  # type: ignore[misc]
        n_out, n_all = 0, -1
        while n_out != n_all:
            item = self._done.get()
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, int):
                n_all = item
                continue
            yield item
            self._in_flight.release()
            n_out += 1

    def close(self) -> None:
        """Stop all threads, and wait for them."""
        self._stopped.set()
        self._in_flight.release()
        self._buffers.release()
        # Filled batches that have not started are dropped: a batch can take seconds.
        while not self._ready.empty():
            with suppress(Empty):
                self._ready.get_nowait()
        for _ in self._threads:
            self._images.put(None)
            self._ready.put(None)
        for thread in self._threads:
            thread.join()

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            # The caller's thread raises what went wrong in this one.
            except BaseException as error:  # noqa: BLE001
                self._stopped.set()
                self._done.put(error)

        thread = threading.Thread(target=guarded, name=f"extract-{name}", daemon=True)
        # Listed after it has started, because `close` waits for listed threads.
        thread.start()
        self._threads.append(thread)

    def _dispatch(self, batches: Iterable[Batch[T]]) -> None:
        n_batches = 0
        for batch in batches:
            self._in_flight.acquire()
            inputs = self._buffers.take()
            if self._stopped.is_set():
                return
            inputs[len(batch.digests) :] = 0
            job = Job(batch, inputs, len(batch.digests))
            for first in range(0, len(batch.digests), _IMAGES_PER_TASK):
                self._images.put((job, first))
            n_batches += 1
        self._done.put(n_batches)

    def _fill(self) -> None:
        prepare = self._extractor.network.preprocessing
        while (item := self._images.get()) is not None and not self._stopped.is_set():
            job, first = item
            digests = job.batch.digests[first : first + _IMAGES_PER_TASK]
            with self._clock.waiting("read"):
                images = [self._read(digest) for digest in digests]
            self._cores.get()
            try:
                with self._clock.working("decode"):
                    for row, (digest, image) in enumerate(zip(digests, images, strict=True), start=first):
                        job.inputs.numpy()[row] = self._row(digest, image, prepare)
            finally:
                self._cores.put(None)
            with self._counting:
                job.n_left -= len(digests)
                if not job.n_left:
                    self._ready.put(job)

    @staticmethod
    def _row(digest: str, image: Encoded, prepare: Preprocessing) -> NDArray[np.float32]:
        try:
            return network_input(image, prepare)
        except Unreadable as error:
            raise SourceChanged(
                f"the image with digest {digest} could be decoded before, but not now: {error}; the next scan updates "
                "its dataset",
                code="source.undecodable",
                digest=digest,
                reason=error.reason,
            ) from error

    def _finish(self, job: Job[T], forward_s: float, fold_s: float) -> None:
        self._clock.add("forward", forward_s)
        self._clock.add("fold", fold_s)
        self._clock.count(len(job.batch.digests))
        self._buffers.give(job.inputs)
        self._done.put(job.batch)


class _Buffers:
    """Reusable input arrays of one batch each, pinned if a GPU copies from them."""

    def __init__(self, extractor: Extractor, n_buffers: int) -> None:
        size = extractor.network.preprocessing.size_px
        self._shape = (extractor.batch_size, 3, size, size)
        self._pinned = extractor.device != "cpu"
        self._left = threading.Semaphore(n_buffers)
        self._free: SimpleQueue[torch.Tensor] = SimpleQueue()

    def take(self) -> torch.Tensor:
        """A free buffer; waits until there is one."""
        self._left.acquire()
        if self._free.empty():
            return torch.empty(self._shape, pin_memory=self._pinned)
        return self._free.get()

    def give(self, buffer: torch.Tensor) -> None:
        """Take a buffer back."""
        self._free.put(buffer)
        self._left.release()

    def release(self) -> None:
        """Let a waiting thread continue, so that it notices the end of the run."""
        self._left.release()
