"""Lanes: the threads that run filled batches through the network and fold the activations, one lane per core or GPU.

A lane of a CPU computes one batch after the other; all of them share the network. The lane of an accelerator queues
the copy, the forward pass and the folding of the next batches while the device computes earlier ones, and waits only
for the end of a batch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

import torch

from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.taps import neurons_second

Consume = Callable[[slice, torch.Tensor], None]
"""Takes a layer's slice of all neurons and its (n_images, n_neurons, n_positions) float32 activations, which are only
valid during the call."""

T = TypeVar("T")

DEPTH = 2
"""Batches that wait in an accelerator's queue behind the one it computes."""


@dataclass(frozen=True)
class Batch(Generic[T]):
    """At most `batch_size` images, the function that takes their activations, and a tag that identifies the batch."""

    digests: list[str]
    consume: Consume
    tag: T


@dataclass(eq=False)
class Job(Generic[T]):
    """A batch in progress: the host's buffer for its inputs, and how many of its images are not decoded yet."""

    batch: Batch[T]
    inputs: torch.Tensor
    n_left: int


Finished = Callable[[], tuple[float, float]]
"""Waits until a started batch is finished, and returns the seconds of its forward pass and of its folding."""


class Device(Protocol):
    """Where the batches of one lane are computed. Used by one thread."""

    depth: int
    """How many batches may wait in its queue."""

    def start(self, job: Job[T]) -> Finished:
        """Start a batch."""
        ...


def open_device(extractor: Extractor) -> Device:
    """The device of an extractor."""
    return HostDevice(extractor) if extractor.device == "cpu" else CudaDevice(extractor)


class HostDevice:
    """One core: `start` computes the batch before it returns."""

    depth = 0

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor

    def start(self, job: Job[T]) -> Finished:
        """See `Device`."""
        started, folding_s = time.thread_time(), 0.0

        def consume(part: slice, values: torch.Tensor) -> None:
            nonlocal folding_s
            begun = time.thread_time()
            job.batch.consume(part, values)
            folding_s += time.thread_time() - begun

        run_network(self._extractor, job, job.inputs, consume)
        forward_s = time.thread_time() - started - folding_s
        return lambda: (forward_s, folding_s)


class CudaDevice:
    """One GPU, with a CUDA stream that copies inputs and one that computes and folds."""

    depth = DEPTH

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._device = torch.device(extractor.device)
        self._copying, self._computing = _streams(self._device)

    def start(self, job: Job[T]) -> Finished:
        """See `Device`; returns as soon as all operations are queued."""
        folding: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

        def consume(part: slice, values: torch.Tensor) -> None:
            begun, done = self._event(), self._event()
            begun.record(self._computing)
            job.batch.consume(part, values)
            done.record(self._computing)
            folding.append((begun, done))

        # A blocking event, so that waiting for the end of a batch does not take a core from the readers.
        begun, done = self._event(), self._event(blocking=True)
        with torch.cuda.device(self._device):
            with torch.cuda.stream(self._copying), self._extractor.memory_errors():
                inputs = job.inputs.to(self._device, non_blocking=True)
            self._computing.wait_stream(self._copying)
            with torch.cuda.stream(self._computing):
                begun.record(self._computing)
                run_network(self._extractor, job, inputs, consume)
                done.record(self._computing)
        # Two streams use the inputs, so they are kept until both have finished.
        kept = [inputs]

        def finished() -> tuple[float, float]:
            done.synchronize()
            kept.clear()
            folding_s = sum(first.elapsed_time(last) for first, last in folding) / 1000
            return begun.elapsed_time(done) / 1000 - folding_s, folding_s

        return finished

    @staticmethod
    def _event(*, blocking: bool = False) -> torch.cuda.Event:
        return torch.cuda.Event(enable_timing=True, blocking=blocking)  # type: ignore[no-untyped-call]


@cache
def _streams(device: torch.device) -> tuple[torch.cuda.Stream, torch.cuda.Stream]:
    """The streams to copy and to compute on: always the same two, because torch caches memory for each stream."""
    copying, computing = (torch.cuda.Stream(device) for _ in range(2))  # type: ignore[no-untyped-call]
    return copying, computing


def run_network(extractor: Extractor, job: Job[T], inputs: torch.Tensor, consume: Consume) -> None:
    """Run one forward pass and pass the activations of every layer, for the images of a batch, to `consume`.

    Raises:
        ExtractorError: as `Extractor.run`.
    """
    n_images, parts = len(job.batch.digests), list(extractor.layers.slices.values())

    def sink(index: int, output: torch.Tensor) -> None:
        consume(parts[index], neurons_second(output[:n_images], extractor.axes[index]).float())

    extractor.run(inputs, sink)


def serve(device: Device, ready: SimpleQueue[Job[T] | None], done: Callable[[Job[T], float, float], None]) -> None:
    """Compute filled batches until the queue returns None, keeping the device's queue filled.

    Args:
        device: where they are computed.
        ready: filled batches.
        done: called for every finished batch, with the seconds of forward pass and folding.
    """
    waiting: deque[tuple[Job[T], Finished]] = deque()

    def finish_oldest() -> None:
        job, finished = waiting.popleft()
        done(job, *finished())

    while True:
        try:
            # Without a new batch, the oldest one is finished; without any batch, the lane waits for one.
            job = ready.get(block=not waiting)
        except Empty:
            finish_oldest()
            continue
        if job is None:
            break
        waiting.append((job, device.start(job)))
        while len(waiting) > device.depth:
            finish_oldest()
    while waiting:
        finish_oldest()
