"""From shards to partials: extracts images, and folds and pools their activations. Small shards share batches."""

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
"""Takes the number of images that have just been extracted."""

Keep = Callable[[Shard, Partial], None]
"""Writes a partial; called from several threads."""

_MAX_WRITERS = 4
"""Each writer holds all measures of a shard, more than half a GB for ViT-B/16, and one more shard waits for them."""


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
    """Yield the partial of every shard when its last image is finished; closing the generator stops its threads.

    Args:
        extractor: the network.
        ranges: its activation ranges, which bin the histograms.
        shards: the shards to extract; they share batches.
        read: returns the encoded image of a digest.
        workers: number of threads that decode, and of lanes on a CPU; 0 for one of each per core. The result does not
            depend on it.
        on_images: called with the number of images that have just been extracted.
        others: the same extractor on more devices of one kind, which share the shards; the result does not depend on
            them.
        clock: measures the times of the stages.
        keep: writes a partial. Merging and writing run beside the extraction, so that no device waits for them;
            partials that are complete when the generator is closed, or raises an error, are written.

    Raises:
        SourceChanged: when an image is no longer what the manifest says.
        ExtractorError: `network.memory` when a device has too little memory.
    """
    clock = clock or StageClock()
    if extractor.device == "cpu":
        compile_kernels()
    stream = ActivationStream([extractor, *others], read, workers, clock)
    n_writers = max(1, min(_MAX_WRITERS, stream.n_workers // 2))
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
    """Shards whose images have all passed through the network, and None after every batch."""
    for batch in batches:
        for run in batch.tag:
            run.shard.n_left -= run.rows.stop - run.rows.start
            if run.shard.n_left == 0:
                yield run.shard
        # After the complete shards are yielded: the callback raises on Ctrl-C, and they are to be written.
        if on_images:
            on_images(len(batch.digests))
        yield None


@dataclass(eq=False)
class _OpenShard:
    """A shard in extraction. Rows are in digest order, so names do not matter."""

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
        """The counts of this thread: counts are merged at the end, so threads do not wait for each other."""
        with self.lock:
            thread = threading.get_ident()
            if thread not in self.folds:
                self.folds[thread] = _new_fold(self.ranges.binning, self.blocks, device)
            return self.folds[thread]

    def partial(self) -> Partial:
        """The measures, after the last image."""
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
    """Batches of the images of shards, which fold the activations of their images."""
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
            rows = values[run.start : run.start + run.rows.stop - run.rows.start]
            fold = run.shard.fold(str(values.device))
            if isinstance(fold, DeviceFold):
                fold.add(part, rows, run.rows)
            else:
                fold.add(part, rows.numpy(), run.rows, run.shard.pooled[run.rows, part])

    return consume
