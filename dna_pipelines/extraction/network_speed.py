"""How long the network of an extractor takes alone: copying, forward pass and folding of one batch."""

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

_LONG_ENOUGH_S = 1.0
"""What a stage is repeated for, so that it is measured to a few percent."""


def network_alone(
    extractor: Extractor, ranges: ActivationRanges, digests: Sequence[str], rows: Sequence[NDArray[np.float32]]
) -> dict[str, float]:
    """Seconds that copying (to an accelerator), forward pass and folding of one batch take.

    Args:
        extractor: with its network on its device.
        ranges: its activation ranges.
        digests: of the images of the batch, at least as many as there are rows.
        rows: the preprocessed images, (3, size, size) each.
    """
    if extractor.device == "cpu":
        compile_kernels()
    device, n = open_device(extractor), len(rows)
    size = extractor.network.preprocessing.size_px
    on_accelerator = extractor.device != "cpu"
    inputs = torch.zeros((extractor.batch_size, 3, size, size), pin_memory=on_accelerator)
    inputs[:n] = torch.from_numpy(np.stack(rows))
    shard = Shard(tuple(Item(digest) for digest in digests[:n]))
    found: dict[str, float] = {}
    if on_accelerator:
        found["copy"] = _repeated(lambda: (_copied(inputs, extractor.device),))[0]

    def once() -> tuple[float, ...]:
        [batch] = batches_of(extractor, ranges, [shard])
        return device.start(Job(batch, inputs, 0))()

    if on_accelerator:
        # Kernels are compiled, and looked over, when they are first used.
        once()
    found["forward"], folding_s = _repeated(once)
    # The last rows of the batch are padding where there were too few images: they are not folded.
    found["fold"] = folding_s * extractor.batch_size / n
    return found


def _copied(inputs: torch.Tensor, device: str) -> float:
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    inputs.to(device, non_blocking=True)
    torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _repeated(measure: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """The mean of several measurements after a first one, which counts only if it took long by itself."""
    first, started = measure(), time.perf_counter()
    if sum(first) > _LONG_ENOUGH_S:
        return first
    found: list[tuple[float, ...]] = []
    while not found or time.perf_counter() - started < _LONG_ENOUGH_S:
        found.append(measure())
    return tuple(float(value) for value in np.mean(found, axis=0))
