"""The speed of a network alone: seconds of copying, forward pass and folding of one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.distributions.fold import compile_kernels
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.partials import batches_of
from dna_pipelines.extraction.stream.lanes import Job, open_device
from dna_pipelines.identity import Item
from dna_pipelines.manifests import Shard

_MIN_MEASURED_S = 1.0
"""How long a stage is repeated, so that it is measured to a few percent."""


def network_alone(
    extractor: Extractor, ranges: ActivationRanges, digests: Sequence[str], rows: Sequence[NDArray[np.float32]]
) -> dict[str, float]:
    """The seconds of copying (to an accelerator), forward pass and folding of one batch.

    Args:
        extractor: the extractor, with its network on its device.
        ranges: its activation ranges.
        digests: of the images of the batch, at least as many as there are rows.
        rows: the preprocessed images, (3, size_px, size_px) float32 each.
    """
    if extractor.device == "cpu":
        compile_kernels()
    device, n = open_device(extractor), len(rows)
    size = extractor.network.preprocessing.size_px
    on_accelerator = extractor.device != "cpu"
    inputs = torch.zeros((extractor.batch_size, 3, size, size), pin_memory=on_accelerator)
    inputs[:n] = torch.from_numpy(np.stack(rows))
    shard = Shard(tuple(Item(digest) for digest in digests[:n]))
    seconds: dict[str, float] = {}
    if on_accelerator:
        seconds["copy"] = _repeated(lambda: (_copied(inputs, extractor.device),))[0]

    def once() -> tuple[float, ...]:
        [batch] = batches_of(extractor, ranges, [shard])
        return device.start(Job(batch, inputs, 0))()

    if on_accelerator:
        # The first use of a kernel compiles and checks it.
        once()
    seconds["forward"], folding_s = _repeated(once)
    # If there are too few images, the last rows of the batch are padding, which is not folded.
    seconds["fold"] = folding_s * extractor.batch_size / n
    return seconds


def _copied(inputs: torch.Tensor, device: str) -> float:
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    inputs.to(device, non_blocking=True)
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _repeated(measure: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """The mean of several measurements, without the first one unless that took long."""
    first, started = measure(), time.perf_counter()
    if sum(first) > _MIN_MEASURED_S:
        return first
    measured: list[tuple[float, ...]] = []
    while not measured or time.perf_counter() - started < _MIN_MEASURED_S:
        measured.append(measure())
    return tuple(float(value) for value in np.mean(measured, axis=0))
