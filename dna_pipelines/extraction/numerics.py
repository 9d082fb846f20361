"""Settings of torch under which the same images give the same bits, whatever runs beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

FAST, EXACT = "fast", "float32"
"""Precisions: bfloat16 inside the network (folded in float32), and float32 throughout."""


@contextmanager
def reproducible() -> Iterator[None]:
    """One torch thread per worker, and convolutions of CUDA that neither round to TF32 nor vary.

    More workers, not more threads, use more cores. Algorithms are not tried out, because the one
    that happens to win decides the last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


def precision_of(precision: str, device: str) -> AbstractContextManager[Any]:
    """What a forward pass of a precision runs in: autocast, where it is `fast`."""
    if precision == FAST:
        # Weights are cast for every pass: a cache of casts belongs to one thread and one block.
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, cache_enabled=False)
    return nullcontext()
