"""Taps: forward hooks that pass the outputs of chosen modules (the layers) to a function, in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.user_code import USER_CODE_ERRORS, user_code_error

Sink = Callable[[int, torch.Tensor], None]
"""Receives the index of a layer and its output, which is only valid during the call:
a later in-place operation of the network may overwrite it."""


class Taps:
    """Forward hooks on the layers of a network; each thread has a sink of its own.

    Args:
        module: the network.
        names: the modules to tap.
        kept: for each of them, which tokens (indices of the second axis) are passed on; all where None.
        label: what error messages call the network.
    """

    def __init__(
        self, module: nn.Module, names: Sequence[str], *, kept: Sequence[slice | None] = (), label: str = "the network"
    ) -> None:
        self._module = module
        self._label = label
        self._local = threading.local()
        for index, name in enumerate(names):
            hook = self._hook(index, name, kept[index] if kept else None)
            module.get_submodule(name).register_forward_hook(hook)

    @torch.inference_mode()
    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """One forward pass; `sink` receives the output of every layer once.

        Args:
            inputs: (n_images, 3, size_px, size_px) float32.
            sink: called with the index of a layer and its output.

        Raises:
            ExtractorError: `network.forward` when the network raises, `network.layer-unusable` when a layer gives no
                tensor or runs twice. What the sink raises is passed on.
        """
        with self._receiving(sink):
            try:
                self._module(inputs)
            except (ExtractorError, torch.OutOfMemoryError):
                raise
            except USER_CODE_ERRORS as error:
                if self._local.in_sink:
                    raise
                raised = user_code_error(error)
                raise ExtractorError(
                    f"{self._label}: a forward pass of {len(inputs)} images fails: {raised}",
                    code="network.forward",
                    network=self._label,
                    n_images=len(inputs),
                    **raised.facts,
                ) from error

    @contextmanager
    def _receiving(self, sink: Sink) -> Iterator[None]:
        self._local.sink, self._local.seen, self._local.in_sink = sink, set(), False
        try:
            yield
        finally:
            del self._local.sink, self._local.seen, self._local.in_sink

    def _hook(self, index: int, name: str, kept: slice | None) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            sink = getattr(self._local, "sink", None)
            if sink is None:
                return
            tensor = tensor_of(output)
            if tensor is None:
                problem = f"returns a {type(output).__name__}, not a tensor; choose another layer"
                raise self._unusable(name, "not-a-tensor", problem)
            if index in self._local.seen:
                raise self._unusable(name, "repeated", "runs twice in one pass; choose the modules around it")
            self._local.seen.add(index)
            self._local.in_sink = True
            sink(index, tensor if kept is None else tensor[:, kept])
            self._local.in_sink = False

        return hook

    def _unusable(self, layer: str, reason: str, problem: str) -> ExtractorError:
        return ExtractorError(
            f"{self._label}: module '{layer}' {problem}",
            code="network.layer-unusable",
            network=self._label,
            layer=layer,
            reason=reason,
        )


def neurons_second(output: torch.Tensor, axis: int) -> torch.Tensor:
    """A layer's output as a view of shape (n_images, n_neurons, n_positions).

    Args:
        output: (n_images, n_neurons), or three or four axes of which the first is the image.
        axis: the axis of the neurons.
    """
    if output.ndim == 2:
        return output.unsqueeze(2)
    moved = output.movedim(axis, 1)
    return moved.flatten(2) if moved.ndim > 3 else moved


def tensor_of(output: Any) -> torch.Tensor | None:
    """The tensor that a module returns, or the first of a tuple; None if there is none."""
    first = output[0] if isinstance(output, tuple) and output else output
    return first if isinstance(first, torch.Tensor) else None
