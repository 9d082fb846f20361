"""From shards to partials: extract, fold and pool, many small shards to a batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.distributions import Binning, ImageFeatures, Moments
from dna_pipelines.distributions.fold import Fold, compile_kernels
from dna_pipelines.dna import ActivationRanges, Partial
from dna_pipelines.extraction.devices.device_fold import DeviceFold
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.stream.activation_stream import ActivationStream
from dna_pipelines.extraction.stream.lanes import Batch
from dna_pipelines.extraction.stream.stage_times import StageClock
from dna_pipelines.identity import block_of
from dna_pipelines.manifests import ReadImage, Shard
from dna_pipelines.prefetch import prefetch

OnImages = Callable[[int], None]
"""Called with the number of images that have just been extracted."""

Keep = Callable[[Shard, Partial], None]
"""Writes a partial; called from several threads."""

_MOST_WRITERS = 4
"""Each holds all measures of a shard, more than half a GB for ViT-B/16, and one more shard waits for them."""


def extract_partials(
    extractor: Extractor,
    ranges: ActivationRanges,
    shards: Iterable[Shard],
    read: ReadImage,
    *,
    workers: int = 0,
    on_images: OnImages | None = None,
    others: Sequence[Extractor] = (),
    clock: StageClock | None = None,
    keep: Keep | None = None,
) -> Generator[tuple[Shard, Partial]]:
    """The partial of every shard once its last image is done; closing the generator stops its threads.

    Args:
        extractor: the network.
        ranges: what its histograms are binned with.
        shards: what to extract; they share batches.
        read: gives the bytes of a digest.
        workers: threads that decode, and as many for the network on a CPU; 0 for as many as there are cores.
            The result does not depend on it.
        on_images: for progress.
        others: the same extractor on more devices of one kind, which share the shards; nor on them.
        clock: takes the time of the stages.
        keep: writes a partial. Adding up and writing go on beside the extraction, so that no device waits for them;
            what is complete when the generator is closed, or meets an error, is kept.

    Raises:
        SourceChanged: when an image is no longer what it was.
        ExtractorError: when a device has too little memory.
    """
    clock = clock or StageClock()
    if extractor.device == "cpu":
        compile_kernels()
    stream = ActivationStream([extractor, *others], read, workers, clock)
    n_writers = max(1, min(_MOST_WRITERS, stream.n_workers // 2))
    clock.use(n_writers=n_writers)

    def finish(shard: _OpenShard) -> tuple[Shard, Partial]:
        with clock.working("write"):
            measured = shard.partial()
        if keep:
            with clock.waiting("write"):
                keep(shard.shard, measured)
        return shard.shard, measured

    def tasks(batches: Iterable[Batch[list[_Run]]]) -> Iterator[Callable[[], tuple[Shard, Partial]] | None]:
        for shard in _complete(batches, on_images):
            yield partial(finish, shard) if shard else None

    with (
        closing(stream.run(batches_of(extractor, ranges, shards))) as batches,
        closing(prefetch(tasks(batches), n_writers)) as finished,
    ):
        yield from finished


def _complete(batches: Iterable[Batch[list[_Run]]], on_images: OnImages | None) -> Iterator[_OpenShard | None]:
    """Shards all of whose images went through the network, and None after every batch."""
    for batch in batches:
        for run in batch.tag:
            run.shard.n_left -= run.rows.stop - run.rows.start
            if run.shard.n_left == 0:
                yield run.shard
        # After that: this is where Ctrl-C is noticed, and what is complete is to be kept.
        if on_images:
            on_images(len(batch.digests))
        yield None


@dataclass(eq=False)
class _OpenShard:
    """A shard on its way through the network. Rows are in digest order, so names do not matter."""

    shard: Shard
    extractor: Extractor
    ranges: ActivationRanges
    folds: dict[int, Fold | DeviceFold] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        items = sorted(self.shard.items, key=lambda item: (item.digest, item.group or ""))
        self.digests = [item.digest for item in items]
        self.blocks = np.array([block_of(item) for item in items])
        self.pooled: NDArray[np.float64] = np.empty((len(items), self.extractor.layers.n_neurons))
        self.n_left = len(items)

    def fold(self, device: str) -> Fold | DeviceFold:
        """The counts of this thread: threads add up at the end instead of waiting for each other."""
        with self.lock:
            thread = threading.get_ident()
            if thread not in self.folds:
                self.folds[thread] = _new_fold(self.ranges.binning, self.blocks, device)
            return self.folds[thread]

    def partial(self) -> Partial:
        """The measures, once every image is in."""
        total: Any = None
        for fold in self.folds.values():
            if isinstance(fold, DeviceFold):
                fold.pooled_into(self.pooled)
            if total is None:
                total = fold
            else:
                total.merge(fold)
        self.folds.clear()
        layers, chosen = self.extractor.layers, self.extractor.image_layers
        rows = (self.digests, self.pooled, layers, chosen, self.ranges.binning, self.ranges.centre)
        moments = Moments.of(self.pooled, layers, self.extractor.covariance_layers)
        return Partial(total.histogram(), moments, total.block_counts(), ImageFeatures.of(*rows))


@dataclass(frozen=True)
class _Run:
    """Consecutive rows of one shard inside a batch."""

    shard: _OpenShard
    rows: slice
    start: int


def _new_fold(binning: Binning, blocks: NDArray[np.integer], device: str) -> Fold | DeviceFold:
    return Fold(binning, blocks) if device == "cpu" else DeviceFold(binning, blocks, device)


def batches_of(extractor: Extractor, ranges: ActivationRanges, shards: Iterable[Shard]) -> Iterator[Batch[list[_Run]]]:
    """The images of shards in batches that fold what comes out for them."""
    digests: list[str] = []
    runs: list[_Run] = []
    for shard in shards:
        opened, row = _OpenShard(shard, extractor, ranges), 0
        while row < len(shard):
            stop = min(len(shard), row + extractor.batch_size - len(digests))
            runs.append(_Run(opened, slice(row, stop), len(digests)))
            digests += opened.digests[row:stop]
            row = stop
            if len(digests) == extractor.batch_size:
                yield Batch(digests, _consume(runs), runs)
                digests, runs = [], []
    if digests:
        yield Batch(digests, _consume(runs), runs)


def _consume(runs: list[_Run]) -> Callable[[slice, torch.Tensor], None]:
    def consume(part: slice, values: torch.Tensor) -> None:
        for run in runs:
            mine = values[run.start : run.start + run.rows.stop - run.rows.start]
            fold = run.shard.fold(str(values.device))
            if isinstance(fold, DeviceFold):
                fold.add(part, mine, run.rows)
            else:
                fold.add(part, mine.numpy(), run.rows, run.shard.pooled[run.rows, part])

    return consume
