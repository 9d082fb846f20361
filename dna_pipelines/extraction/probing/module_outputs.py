"""Looking at every module of a network in forward passes: in which order they finish, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.taps import tensor_of
from dna_pipelines.extraction.user_code import RAISED, told


@dataclass
class Seen:
    """What one module gave in a forward pass.

    Attributes:
        shape: of its output; None where that is no tensor.
        kind: the class of its output.
        n_calls: how often it ran.
        is_complex: whether its output has imaginary parts, which have no order to be counted by.
    """

    shape: tuple[int, ...] | None
    kind: str
    n_calls: int = 1
    is_complex: bool = False

    @property
    def usable(self) -> bool:
        """Whether it gave one tensor of real numbers, as a layer does."""
        return self.shape is not None and self.n_calls == 1 and not self.is_complex


Survey = dict[str, Seen]
"""The modules that ran, by name, in the order in which they finished."""


@torch.inference_mode()
def survey(module: nn.Module, n_images: int, size_px: int, label: str, device: str = "cpu") -> Survey:
    """One forward pass over images of noise.

    Args:
        module: the network, and `label` what messages call it.
        n_images, size_px: how many images there are, and their edge.
        device: where the network is.

    Raises:
        ExtractorError: when the network fails on images of that size.
    """
    found: Survey = {}
    generator = torch.Generator().manual_seed(0)
    # Scripted parts take no hooks, and so can be no layers.
    parts = [(name, part) for name, part in module.named_modules() if not isinstance(part, torch.jit.ScriptModule)]
    hooks = [part.register_forward_hook(_hook(name, found)) for name, part in parts]
    try:
        module(torch.rand(n_images, 3, size_px, size_px, generator=generator).to(device))
    except ExtractorError:
        raise
    # Networks refuse a size in ways of their own.
    except RAISED as error:
        raise ExtractorError(f"{label}: it fails on images of {size_px} px: {told(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _hook(name: str, found: Survey) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = tensor_of(output)
        shape = None if tensor is None else tuple(tensor.shape)
        n_calls = found.pop(name).n_calls + 1 if name in found else 1
        found[name] = Seen(shape, type(output).__name__, n_calls, tensor is not None and tensor.is_complex())

    return hook
