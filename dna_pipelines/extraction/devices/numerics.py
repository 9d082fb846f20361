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
    """One torch thread per worker, and float32 that is neither rounded to TF32 or bfloat16 nor varies.

    More workers, not more threads, use more cores. Algorithms are not tried out, because the one
    that happens to win decides the last bits. What the process was set to before holds again afterwards.
    """
    settings = _settings()
    before = [getattr(place, name) for place, name, _ in settings]
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for place, name, value in settings:
            setattr(place, name, value)
        yield
    finally:
        for (place, name, _), value in zip(settings, before, strict=True):
            setattr(place, name, value)
        torch.set_num_threads(n_threads)


def _settings() -> list[tuple[Any, str, Any]]:
    """Places of torch's settings, their names and values. An environment or a user's own code may have set others."""
    cudnn: Any = torch.backends.cudnn
    cpu: Any = torch.backends.mkldnn
    matmul = torch.backends.cuda.matmul
    found: list[tuple[Any, str, Any]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    if not hasattr(matmul, "fp32_precision"):
        # torch before 2.9
        return [*found, (matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    # The older names cannot be read once somebody used these, and these always can.
    places = (matmul, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn)
    return [*found, *((place, "fp32_precision", "ieee") for place in places)]


def precision_of(precision: str, device: str) -> AbstractContextManager[Any]:
    """What a forward pass of a precision runs in: autocast, where it is `fast`."""
    if precision == FAST:
        # Weights are cast for every pass: a cache of casts belongs to one thread and one block.
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, cache_enabled=False)
    return nullcontext()
