"""The outputs of every module of a network in one forward pass: order, shapes and kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.taps import tensor_of
from dna_pipelines.extraction.user_code import USER_CODE_ERRORS, user_code_error


@dataclass
class ModuleOutput:
    """What one module returned in a forward pass.

    Attributes:
        shape: of the tensor; None if the output is not a tensor.
        kind: the class of the output.
        n_calls: how often the module ran.
        is_complex: whether the tensor has imaginary parts, which have no order to count them by.
    """

    shape: tuple[int, ...] | None
    kind: str
    n_calls: int = 1
    is_complex: bool = False

    @property
    def usable(self) -> bool:
        """Whether the module returned one tensor of real numbers, as a layer must."""
        return self.shape is not None and self.n_calls == 1 and not self.is_complex


ModuleOutputs = dict[str, ModuleOutput]
"""The modules that ran, by name, in the order in which they finished."""


@torch.inference_mode()
def module_outputs(module: nn.Module, n_images: int, size_px: int, label: str, device: str = "cpu") -> ModuleOutputs:
    """Run one forward pass over images of noise and record what every module returns.

    Args:
        module: the network.
        n_images: in the batch.
        size_px: height and width of an image.
        label: what error messages call the network.
        device: where the network is.

    Raises:
        ExtractorError: `network.forward` when the network raises on images of that size.
    """
    outputs: ModuleOutputs = {}
    generator = torch.Generator().manual_seed(0)
    # Scripted parts take no hooks, so they cannot be layers.
    parts = [(name, part) for name, part in module.named_modules() if not isinstance(part, torch.jit.ScriptModule)]
    hooks = [part.register_forward_hook(_hook(name, outputs)) for name, part in parts]
    try:
        module(torch.rand(n_images, 3, size_px, size_px, generator=generator).to(device))
    except ExtractorError:
        raise
    # Networks reject a size with exceptions of many classes.
    except USER_CODE_ERRORS as error:
        raised = user_code_error(error)
        raise ExtractorError(
            f"{label}: it fails on images of {size_px} px: {raised}",
            code="network.forward",
            network=label,
            n_images=n_images,
            size_px=size_px,
            **raised.facts,
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def _hook(name: str, outputs: ModuleOutputs) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = tensor_of(output)
        shape = None if tensor is None else tuple(tensor.shape)
        n_calls = outputs.pop(name).n_calls + 1 if name in outputs else 1
        is_complex = tensor is not None and tensor.is_complex()
        outputs[name] = ModuleOutput(shape, type(output).__name__, n_calls, is_complex)

    return hook
