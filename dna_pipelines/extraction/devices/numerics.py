"""Settings of torch under which the same images give the same bits, whatever else the process computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

FAST, EXACT = "fast", "float32"
"""Precisions: bfloat16 inside the network (folded in float32), and float32 throughout."""


@contextmanager
def reproducible() -> Iterator[None]:
    """Set torch, in a `with` block, to one thread per worker and to exact float32, without TF32 or bfloat16.

    More workers, not more threads, use more cores. Algorithms are not benchmarked, because the fastest one would
    decide the last bits. The previous settings are restored afterwards.
    """
    settings = _settings()
    before = [getattr(owner, name) for owner, name, _ in settings]
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for owner, name, value in settings:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(settings, before, strict=True):
            setattr(owner, name, value)
        torch.set_num_threads(n_threads)


def _settings() -> list[tuple[Any, str, Any]]:
    """The settings of torch: owner, name and value. Environment variables or user code may have set other values."""
    cudnn: Any = torch.backends.cudnn
    cpu: Any = torch.backends.mkldnn
    matmul = torch.backends.cuda.matmul
    settings: list[tuple[Any, str, Any]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    if not hasattr(matmul, "fp32_precision"):
        # torch before 2.9
        return [*settings, (matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    # Reading the older names fails once a process has used the newer ones; reading the newer ones never fails.
    owners = (matmul, cudnn.conv, cudnn.rnn, cpu.matmul, cpu.conv, cpu.rnn)
    return [*settings, *((owner, "fp32_precision", "ieee") for owner in owners)]


def precision_of(precision: str, device: str) -> AbstractContextManager[Any]:
    """The context of a forward pass in a precision: autocast to bfloat16 for `fast`, else nothing."""
    if precision == FAST:
        # Weights are cast in every pass, because a cache of casts belongs to one thread and one block.
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, cache_enabled=False)
    return nullcontext()
