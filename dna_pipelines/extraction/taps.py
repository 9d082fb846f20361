"""Tapping the outputs of named modules with forward hooks, from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.user_code import RAISED, told

Sink = Callable[[int, torch.Tensor], None]
"""Called with the index of the layer and its output, which is only valid during the call:
an in-place operation further on may overwrite it."""


class Taps:
    """Forward hooks on the tapped modules of a network, each thread with a sink of its own.

    Args:
        module: the network.
        names: the modules to tap.
        kept: for each of them, which tokens (places of the second axis) are passed on; all where None.
    """

    def __init__(self, module: nn.Module, names: Sequence[str], *, kept: Sequence[slice | None] = ()) -> None:
        self._module = module
        self._local = threading.local()
        for index, name in enumerate(names):
            hook = self._hook(index, name, kept[index] if kept else None)
            module.get_submodule(name).register_forward_hook(hook)

    @torch.inference_mode()
    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """One forward pass; `sink` receives every tapped output once.

        Raises:
            ExtractorError: when the network fails. What the sink raises is passed on.
        """
        with self._receiving(sink):
            try:
                self._module(inputs)
            except (ExtractorError, torch.OutOfMemoryError):
                raise
            except RAISED as error:
                if self._local.giving:
                    raise
                raise ExtractorError(f"a forward pass of {len(inputs)} images fails: {told(error)}") from error

    @contextmanager
    def _receiving(self, sink: Sink) -> Iterator[None]:
        self._local.sink, self._local.seen, self._local.giving = sink, set(), False
        try:
            yield
        finally:
            del self._local.sink, self._local.seen, self._local.giving

    def _hook(self, index: int, name: str, kept: slice | None) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            sink = getattr(self._local, "sink", None)
            if sink is None:
                return
            tensor = tensor_of(output)
            if tensor is None:
                raise ExtractorError(f"module '{name}' gives a {type(output).__name__}, not a tensor; tap another")
            if index in self._local.seen:
                raise ExtractorError(f"module '{name}' is used twice in one pass; tap the modules around it")
            self._local.seen.add(index)
            self._local.giving = True
            sink(index, tensor if kept is None else tensor[:, kept])
            self._local.giving = False

        return hook


def neurons_second(output: torch.Tensor, axis: int) -> torch.Tensor:
    """A layer's output as a view of shape (n_images, n_neurons, n_positions)."""
    if output.ndim == 2:
        return output.unsqueeze(2)
    moved = output.movedim(axis, 1)
    return moved.flatten(2) if moved.ndim > 3 else moved


def tensor_of(output: Any) -> torch.Tensor | None:
    """The tensor that a module gives; the first of a tuple. None where there is none."""
    first = output[0] if isinstance(output, tuple) and output else output
    return first if isinstance(first, torch.Tensor) else None
