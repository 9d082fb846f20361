"""Networks of people's own: functions in their modules, and entry points of other packages.

What such a function says of its weights may be wrong, so they are looked at.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from dna_pipelines.errors import DnaError, ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.change_token import importable, require_module
from dna_pipelines.extraction.user_code import RAISED, told


def own_network(module: str, function: str, root: Path) -> Network:
    """What somebody's own function returns; its module is installed, or lies in the project's folder.

    Raises:
        ExtractorError: when there is no such function, or what it returns cannot serve.
    """
    name = f"{module}:{function}"
    require_module(name, root)
    # What it builds may import more from there.
    with importable(root):
        try:
            found = import_module(module)
        except ModuleNotFoundError as error:
            raise ExtractorError(f"{name}: importing {module} needs {error.name}, which is not installed") from error
        except RAISED as error:
            raise ExtractorError(f"{name}: importing {module} fails: {told(error)}") from error
        if not hasattr(found, function):
            raise ExtractorError(f"module {module} has no '{function}'")
        return _known_by_its_weights(getattr(found, function), name)


def entry_point_network(point: EntryPoint) -> Network:
    """What the function of an entry point returns.

    Raises:
        ExtractorError: when it cannot be imported, or what it returns cannot serve.
    """
    try:
        factory = point.load()
    except RAISED as error:
        raise ExtractorError(f"{point.name}: importing {point.value} fails: {told(error)}") from error
    return _known_by_its_weights(factory, point.name)


def _known_by_its_weights(factory: Callable[[], Network], name: str) -> Network:
    """The network with a digest of what its weights are, whatever its author says they are.

    Weights that are other ones each time would make every run a network of its own, so it is built twice.
    """
    network = _built(factory, name)
    first, again = _tensors(network.module, name), _tensors(_built(factory, name).module, name)
    if moved := sorted(part for part in {*first, *again} if first.get(part) != again.get(part)):
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        raise ExtractorError(
            f"{name}: building it twice gives other weights ({', '.join(moved[:3])}{more}); a frozen network has the "
            "same ones each time: load them from a file, or call torch.manual_seed in the function that builds it"
        )
    if not first:
        return network
    lines = [network.weights_digest, *(f"{part} {first[part]}" for part in sorted(first))]
    return dataclasses.replace(network, weights_digest=hashlib.sha256("\n".join(lines).encode()).hexdigest())


def _built(factory: Callable[[], Network], name: str) -> Network:
    try:
        network = factory() if callable(factory) else factory
    except DnaError:
        raise
    except RAISED as error:
        raise ExtractorError(f"{name} fails: {told(error, factory)}") from error
    if not isinstance(network, Network):
        raise ExtractorError(
            f"{name} must be a function that returns a `dna_pipelines.extraction.extractor.Network`; "
            f"it gives a {type(network).__name__}"
        )
    _require_plain(network.module, name)
    return network if network.origin else dataclasses.replace(network, origin=name)


def _require_plain(module: Any, name: str) -> None:
    """Refuse what is no module that has its weights and calls hooks.

    Raises:
        ExtractorError: saying what to give instead.
    """
    kind = type(module).__name__
    if not isinstance(module, nn.Module):
        raise ExtractorError(f"{name}: `module` has to be a torch.nn.Module, and is {kind}; give the module itself")
    if isinstance(module, torch.jit.ScriptModule):
        raise ExtractorError(
            f"{name}: `module` was scripted or traced ({kind}), and forward hooks, which take the activations, do "
            "not work in it; give the plain module that it was made from"
        )
    try:
        module.eval()
    except RAISED as error:
        raise ExtractorError(
            f"{name}: `module` cannot be put into evaluation mode: {told(error)}; instead of what torch.export made, "
            "give the plain module that it was made from"
        ) from error
    if lazy := [part for part, tensor in module.named_parameters() if is_lazy(tensor)]:
        raise ExtractorError(
            f"{name}: {', '.join(lazy)} get their shape in the first forward pass only (nn.Lazy…); give the layers "
            "their shapes, or load the weights into it before it is handed over"
        )


def _tensors(module: nn.Module, name: str) -> dict[str, str]:
    """A digest for each parameter and buffer, also of those that are not saved."""
    try:
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers()), **module.state_dict()}
        return {part: _digest(tensor) for part, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    # Such as tensors without values (meta).
    except RAISED as error:
        raise ExtractorError(f"{name}: its weights cannot be read: {told(error)}") from error


def _digest(tensor: torch.Tensor) -> str:
    """Of shape, type and bytes."""
    plain = tensor.detach()
    plain = plain.dequantize() if plain.is_quantized else plain.to_dense()
    values: Any = plain.cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{tuple(tensor.shape)} {tensor.dtype} {hashlib.sha256(values).hexdigest()}"
