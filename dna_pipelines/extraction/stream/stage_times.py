"""Stage times: the seconds of an extraction by stage (read, decode, forward, fold, write), and which stage limits it.

Does not import torch, because reports of runs that compute nothing use these types too.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["read", "decode", "forward", "fold", "write"]
_MIN_IMAGES, _MIN_S = 100, 1.0
"""Below these, starting up is a large part of the measurement."""

STAGES: tuple[Stage, ...] = ("read", "decode", "forward", "fold", "write")


@dataclass(frozen=True)
class StageTimes:
    """The times of one extraction, or of several consecutive ones.

    Attributes:
        n_images: number of images that passed through the network.
        elapsed_s: seconds from the first batch to the last partial.
        read_s: seconds of waiting for bytes, summed over the reading threads.
        decode_s: processor seconds of decoding and preprocessing.
        forward_s, fold_s: processor seconds on a CPU; seconds of the device on an accelerator.
        write_s: seconds of merging and writing partials.
        n_readers, n_workers: threads that read, and that may decode at the same time; as many others run the
            network if it is on the CPU.
        n_devices: accelerators; 0 if the network runs on the CPU.
        n_writers: threads that merge and write.
    """

    n_images: int = 0
    elapsed_s: float = 0.0
    read_s: float = 0.0
    decode_s: float = 0.0
    forward_s: float = 0.0
    fold_s: float = 0.0
    write_s: float = 0.0
    n_readers: int = 1
    n_workers: int = 1
    n_devices: int = 0
    n_writers: int = 1

    @property
    def images_per_s(self) -> float:
        """Images per second, all stages together; 0 before the first image."""
        return self.n_images / self.elapsed_s if self.elapsed_s else 0.0

    def seconds(self, stage: Stage) -> float:
        """The seconds of one stage, summed over threads and devices."""
        seconds: float = getattr(self, f"{stage}_s")
        return seconds

    def share(self, stage: Stage) -> float:
        """The fraction of the work of all stages, in [0, 1]. Reading is waiting, and does not count as work."""
        total = sum(self.seconds(each) for each in STAGES if each != "read")
        return self.seconds(stage) / total if total else 0.0

    @property
    def bound_by(self) -> Stage:
        """The stage with most of the work on the busiest resource: readers, processors, devices or writers."""
        on_processors: tuple[Stage, ...] = ("decode",) if self.n_devices else ("decode", "forward", "fold")
        on_devices: tuple[Stage, ...] = ("forward", "fold") if self.n_devices else ()
        resources: list[tuple[tuple[Stage, ...], int]] = [
            (("read",), self.n_readers),
            (on_processors, self.n_workers),
            (on_devices, max(self.n_devices, 1)),
            (("write",), self.n_writers),
        ]
        stages, _ = max(resources, key=lambda resource: sum(map(self.seconds, resource[0])) / resource[1])
        return max(stages, key=self.seconds)

    @property
    def is_conclusive(self) -> bool:
        """Whether the extraction was long enough to say which stage limits it."""
        return self.n_images >= _MIN_IMAGES and self.elapsed_s >= _MIN_S

    def merge(self, other: StageTimes) -> StageTimes:
        """The times of both, one after the other."""
        if not self.n_images:
            return other
        read, decode, forward, fold, write = (self.seconds(stage) + other.seconds(stage) for stage in STAGES)
        return StageTimes(
            self.n_images + other.n_images,
            self.elapsed_s + other.elapsed_s,
            read,
            decode,
            forward,
            fold,
            write,
            n_readers=max(self.n_readers, other.n_readers),
            n_workers=max(self.n_workers, other.n_workers),
            n_devices=max(self.n_devices, other.n_devices),
            n_writers=max(self.n_writers, other.n_writers),
        )

    def to_json(self) -> dict[str, Any]:
        """The times as a JSON value, with the images per second and the limiting stage."""
        return {**asdict(self), "images_per_s": self.images_per_s, "bound_by": self.bound_by}

    def __str__(self) -> str:
        """One line for people."""
        images = "image" if self.n_images == 1 else "images"
        speed = f"{self.images_per_s:,.0f}" if self.images_per_s >= 10 else f"{self.images_per_s:.1f}"
        rate = f"{self.n_images:,} {images} at {speed}/s"
        if not self.is_conclusive:
            return rate
        bound = self.bound_by
        others = sorted((stage for stage in STAGES if stage not in ("read", bound)), key=self.share, reverse=True)
        shares = [f"{stage} {self.share(stage):.0%}" for stage in others if self.share(stage) >= 0.005]
        detail = f"{self.share(bound):.0%} of the work"
        if bound == "read":
            detail = f"{self.n_readers} {'thread' if self.n_readers == 1 else 'threads'} waiting"
            shares[:1] = [f"{share} of the work" for share in shares[:1]]
        elif bound == "write":
            # Writing has few threads, so it can limit the extraction with a small part of the work.
            detail += f", on {self.n_writers} threads" if self.n_writers > 1 else ", on one thread"
        return f"{rate}; bound by {bound} ({'; '.join(filter(None, (detail, ', '.join(shares))))})"


class StageClock:
    """Sums the seconds of every stage over all threads; fast enough to use for every image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._n_images = 0
        self._started = time.perf_counter()
        self._threads: dict[str, int] = {}

    def use(self, **threads: int) -> None:
        """Set the number of threads and devices: `n_readers`, `n_workers`, `n_devices`, `n_writers`."""
        self._threads |= threads

    def add(self, stage: Stage, seconds: float) -> None:
        """Add seconds to a stage."""
        with self._lock:
            self._seconds[stage] += seconds

    def count(self, n_images: int) -> None:
        """Add finished images."""
        with self._lock:
            self._n_images += n_images

    @contextmanager
    def waiting(self, stage: Stage) -> Iterator[None]:
        """Add the time that passes in a `with` block, which waits for disks or networks."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    @contextmanager
    def working(self, stage: Stage) -> Iterator[None]:
        """Add the processor time of this thread in a `with` block, which other threads do not affect."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.thread_time() - started)

    def times(self) -> StageTimes:
        """The times measured so far."""
        with self._lock:
            read, decode, forward, fold, write = (self._seconds[stage] for stage in STAGES)
            elapsed_s = time.perf_counter() - self._started
            return StageTimes(self._n_images, elapsed_s, read, decode, forward, fold, write, **self._threads)


def n_cores() -> int:
    """The number of processor cores that this process may use, which can be fewer than the machine has."""
    # Not available on every system.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
