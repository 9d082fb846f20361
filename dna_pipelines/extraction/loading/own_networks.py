"""Networks of the user's own: functions in their modules, and entry points of other packages.

The digest such a function gives may not be that of its weights, so the weights themselves are hashed too.
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
from dna_pipelines.extraction.user_code import USER_CODE_ERRORS, user_code_error

VALUE_CODES = ("network.attribute", "network.preprocessing-value")
"""The codes of attributes that a `Network` or a `Preprocessing` cannot have."""


def own_network(module: str, function: str, root: Path) -> Network:
    """The network that a function of the user returns.

    Args:
        module: dotted name of a module that is installed, or lies in the project's folder.
        function: its name in the module.
        root: the project's folder.

    Raises:
        ExtractorError: `network.module-missing`, `network.package-missing` (the module imports a package that is not
            installed), `network.function-missing`, `network.user-code` when the user's code raises,
            `network.not-a-network`, `network.not-plain` or `network.weights-vary`.
    """
    name = f"{module}:{function}"
    require_module(name, root)
    # The function may import more modules from the project's folder.
    with importable(root):
        try:
            imported = import_module(module)
        except ModuleNotFoundError as error:
            raise ExtractorError(
                f"{name}: importing {module} needs {error.name}, which is not installed; install it",
                code="network.package-missing",
                network=name,
                module=module,
                package=error.name,
            ) from error
        except USER_CODE_ERRORS as error:
            raised = user_code_error(error)
            raise ExtractorError(
                f"{name}: importing {module} fails: {raised}",
                code="network.user-code",
                network=name,
                step="import",
                **raised.facts,
            ) from error
        if not hasattr(imported, function):
            raise ExtractorError(
                f"module {module} has no '{function}'; write the name of a function that returns a Network",
                code="network.function-missing",
                network=name,
                module=module,
                function=function,
            )
        return _identified_by_weights(getattr(imported, function), name)


def entry_point_network(point: EntryPoint) -> Network:
    """The network that the function of an entry point returns.

    Raises:
        ExtractorError: `network.user-code` when it cannot be imported; otherwise as `own_network`.
    """
    try:
        factory = point.load()
    except USER_CODE_ERRORS as error:
        raised = user_code_error(error)
        raise ExtractorError(
            f"{point.name}: importing {point.value} fails: {raised}",
            code="network.user-code",
            network=point.name,
            entry_point=point.value,
            step="import",
            **raised.facts,
        ) from error
    return _identified_by_weights(factory, point.name)


def _identified_by_weights(factory: Callable[[], Network], name: str) -> Network:
    """The network, whose digest also covers the weights that its module really has.

    Weights that differ each time would make the network of every run another one, so it is built twice.
    """
    network = _built(factory, name)
    first, second = _digests(network.module, name), _digests(_built(factory, name).module, name)
    if differing := sorted(part for part in {*first, *second} if first.get(part) != second.get(part)):
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise ExtractorError(
            f"{name}: building it twice gives different weights ({', '.join(differing[:3])}{more}), but a frozen "
            "network always has the same: load them from a file, or call torch.manual_seed in the function that "
            "builds it",
            code="network.weights-vary",
            network=name,
            parameters=differing,
        )
    if not first:
        return network
    lines = [network.weights_digest, *(f"{part} {first[part]}" for part in sorted(first))]
    return dataclasses.replace(network, weights_digest=hashlib.sha256("\n".join(lines).encode()).hexdigest())


def _built(factory: Callable[[], Network], name: str) -> Network:
    try:
        network = factory() if callable(factory) else factory
    except USER_CODE_ERRORS as error:
        # Values that a Network cannot have are a fault of the user's code, at a line of it; other errors say where.
        if isinstance(error, DnaError) and error.code not in VALUE_CODES:
            raise
        raised = user_code_error(error, factory)
        raise ExtractorError(
            f"{name} fails: {raised}", code="network.user-code", network=name, step="build", **raised.facts
        ) from error
    if not isinstance(network, Network):
        raise ExtractorError(
            f"{name} must be a function that returns a `dna_pipelines.extraction.extractor.Network`, but it returns a "
            f"{type(network).__name__}",
            code="network.not-a-network",
            network=name,
            returned=type(network).__name__,
        )
    _require_plain(network.module, name)
    return network if network.origin else dataclasses.replace(network, origin=name)


def _require_plain(module: Any, name: str) -> None:
    """Refuse anything but a module that has its weights and calls hooks.

    Raises:
        ExtractorError: `network.not-plain`, with the reason.
    """
    kind = type(module).__name__

    def refused(reason: str, problem: str, **facts: Any) -> ExtractorError:
        return ExtractorError(
            f"{name}: {problem}", code="network.not-plain", network=name, reason=reason, module=kind, **facts
        )

    if not isinstance(module, nn.Module):
        problem = f"`module` must be a torch.nn.Module, but is {kind}; pass the module itself"
        raise refused("not-a-module", problem)
    if isinstance(module, torch.jit.ScriptModule):
        problem = (
            f"`module` is scripted or traced ({kind}), so forward hooks, which receive the activations, do not work "
            "in it; pass the plain module that it was made from"
        )
        raise refused("scripted", problem)
    try:
        module.eval()
    except USER_CODE_ERRORS as error:
        raised = user_code_error(error)
        problem = (
            f"`module` cannot be put into evaluation mode: {raised}; instead of the result of torch.export, pass the "
            "plain module that it was made from"
        )
        raise refused("no-evaluation-mode", problem, **raised.facts) from error
    if lazy := [part for part, tensor in module.named_parameters() if is_lazy(tensor)]:
        problem = (
            f"{', '.join(lazy)} get their shapes only in the first forward pass (nn.Lazy…); give the layers their "
            "shapes, or load the weights before you return the network"
        )
        raise refused("lazy", problem, parameters=lazy)


def _digests(module: nn.Module, name: str) -> dict[str, str]:
    """A digest for each parameter and buffer, including those that are not saved."""
    try:
        tensors = {**dict(module.named_parameters()), **dict(module.named_buffers()), **module.state_dict()}
        return {part: _digest(tensor) for part, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    # For example, tensors on the meta device have no values.
    except USER_CODE_ERRORS as error:
        raised = user_code_error(error)
        raise ExtractorError(
            f"{name}: its weights cannot be read: {raised}",
            code="network.not-plain",
            network=name,
            reason="unreadable-weights",
            module=type(module).__name__,
            **raised.facts,
        ) from error


def _digest(tensor: torch.Tensor) -> str:
    """The digest of shape, type and bytes."""
    plain = tensor.detach()
    plain = plain.dequantize() if plain.is_quantized else plain.to_dense()
    values: Any = plain.cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{tuple(tensor.shape)} {tensor.dtype} {hashlib.sha256(values).hexdigest()}"
