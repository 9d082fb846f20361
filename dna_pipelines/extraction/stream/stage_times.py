"""Where the time of an extraction goes: seconds by stage, and which stage bounds the whole.

Nothing here needs torch, because reports of runs that compute nothing know these types too.
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
_FEW_IMAGES, _SHORT_S = 100, 1.0
"""Below these, starting up is much of what was measured."""

STAGES: tuple[Stage, ...] = ("read", "decode", "forward", "fold", "write")


@dataclass(frozen=True)
class StageTimes:
    """What one extraction, or several after each other, took.

    Attributes:
        n_images: that went through the network.
        elapsed_s: from the first batch to the last partial.
        read_s: waiting for bytes, added up over the reading threads.
        decode_s: processor time of decoding and preprocessing.
        forward_s, fold_s: processor time on a CPU; time on the device on an accelerator.
        write_s: adding up and writing partials.
        n_readers, n_workers: threads that read, and that may decode at the same time; as many others run the
            network where that is on the CPU.
        n_devices: accelerators; 0 where the network runs on the CPU.
        n_writers: threads that add up and write.
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
        """Images a second, all stages together; 0 before the first image."""
        return self.n_images / self.elapsed_s if self.elapsed_s else 0.0

    def seconds(self, stage: Stage) -> float:
        """Of one stage, added up over threads and devices."""
        found: float = getattr(self, f"{stage}_s")
        return found

    def share(self, stage: Stage) -> float:
        """Of the work of all stages, in [0, 1]. Reading is waiting, and no part of it."""
        total = sum(self.seconds(each) for each in STAGES if each != "read")
        return self.seconds(stage) / total if total else 0.0

    @property
    def bound_by(self) -> Stage:
        """The stage with most of the work on whatever is busiest: readers, processors, devices or writers."""
        on_processors: tuple[Stage, ...] = ("decode",) if self.n_devices else ("decode", "forward", "fold")
        on_devices: tuple[Stage, ...] = ("forward", "fold") if self.n_devices else ()
        lanes: list[tuple[tuple[Stage, ...], int]] = [
            (("read",), self.n_readers),
            (on_processors, self.n_workers),
            (on_devices, max(self.n_devices, 1)),
            (("write",), self.n_writers),
        ]
        stages, _ = max(lanes, key=lambda lane: sum(map(self.seconds, lane[0])) / lane[1])
        return max(stages, key=self.seconds)

    @property
    def is_telling(self) -> bool:
        """Whether there was enough to do to say what bounds it."""
        return self.n_images >= _FEW_IMAGES and self.elapsed_s >= _SHORT_S

    def merge(self, other: StageTimes) -> StageTimes:
        """Both after each other."""
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
        """The times as a JSON value, with what bounds them."""
        return {**asdict(self), "images_per_s": self.images_per_s, "bound_by": self.bound_by}

    def __str__(self) -> str:
        """One line for people."""
        images = "image" if self.n_images == 1 else "images"
        speed = f"{self.images_per_s:,.0f}" if self.images_per_s >= 10 else f"{self.images_per_s:.1f}"
        reached = f"{self.n_images:,} {images} at {speed}/s"
        if not self.is_telling:
            return reached
        bound = self.bound_by
        others = sorted((stage for stage in STAGES if stage not in ("read", bound)), key=self.share, reverse=True)
        shares = [f"{stage} {self.share(stage):.0%}" for stage in others if self.share(stage) >= 0.005]
        said = f"{self.share(bound):.0%} of the work"
        if bound == "read":
            said = f"{self.n_readers} {'thread' if self.n_readers == 1 else 'threads'} waited for it"
            shares[:1] = [f"{share} of the work" for share in shares[:1]]
        elif bound == "write":
            # It may bind with less of the work than what all cores share.
            said += f", on {self.n_writers} threads" if self.n_writers > 1 else ", on one thread"
        return f"{reached}; bound by {bound} ({'; '.join(filter(None, (said, ', '.join(shares))))})"


class StageClock:
    """Adds up the seconds of every stage over all threads; cheap enough to be asked for every image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._n_images = 0
        self._started = time.perf_counter()
        self._threads: dict[str, int] = {}

    def use(self, **threads: int) -> None:
        """Note how many there are of each: `n_readers`, `n_workers`, `n_devices`, `n_writers`."""
        self._threads |= threads

    def add(self, stage: Stage, seconds: float) -> None:
        """More seconds of a stage."""
        with self._lock:
            self._seconds[stage] += seconds

    def count(self, n_images: int) -> None:
        """More images are done."""
        with self._lock:
            self._n_images += n_images

    @contextmanager
    def waiting(self, stage: Stage) -> Iterator[None]:
        """The time that passes in a `with` block: for what waits for disks and networks."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    @contextmanager
    def working(self, stage: Stage) -> Iterator[None]:
        """The processor time of this thread in a `with` block: other threads do not disturb it."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.thread_time() - started)

    def times(self) -> StageTimes:
        """What was measured until now."""
        with self._lock:
            read, decode, forward, fold, write = (self._seconds[stage] for stage in STAGES)
            elapsed_s = time.perf_counter() - self._started
            return StageTimes(self._n_images, elapsed_s, read, decode, forward, fold, write, **self._threads)


def n_cores() -> int:
    """Processor cores that this process may use, which can be fewer than the machine has."""
    # Not on every system.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
