"""Reading checkpoints: only tensors are loaded, and every tensor must belong to the network."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dna_pipelines.errors import ExtractorError

State = dict[str, torch.Tensor]

Rename = Callable[[State], State]
"""Translates the names (and shapes) of a published checkpoint to those of the module. It keeps names it does not know,
and drops those of parts that the module does not have."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state(path: Path) -> State:
    """The tensors of a file: safetensors, or a pickle of which torch loads nothing but tensors.

    Raises:
        ExtractorError: `network.weights-unreadable` when it is damaged or holds anything else, `network.unsafe-file`
            when it is a TorchScript archive.
    """
    try:
        if _is_torchscript(path):
            raise ExtractorError(
                f"{path} is a TorchScript archive, which can run code, and is not loaded; use the same weights as "
                "safetensors",
                code="network.unsafe-file",
                file=str(path),
            )
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise ExtractorError(
            f"{path} cannot be read as weights: {(str(error).splitlines() or [''])[0]}; download it again",
            code="network.weights-unreadable",
            file=str(path),
            error=type(error).__name__,
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not loaded:
        raise ExtractorError(
            f"{path} holds no weights; use another file", code="network.weights-unreadable", file=str(path)
        )
    return {
        str(name).removeprefix("module."): tensor for name, tensor in loaded.items() if isinstance(tensor, torch.Tensor)
    }


def load_state(module: nn.Module, state: State, rename: Rename, path: Path) -> None:
    """Fill a module with a published checkpoint, in float32.

    Raises:
        ExtractorError: `network.weights-unfit` when a tensor is missing, unknown, or of another shape: the file is that
            of another network.
    """
    given = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in rename(state).items()}
    wanted = module.state_dict()
    # The number of batches a normalisation has seen has no effect once it is frozen, and old files lack it.
    counters = {name: torch.tensor(0) for name in wanted if name.endswith("num_batches_tracked")}
    given = {**counters, **given}
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    mismatched = [name for name in wanted if name in given and given[name].shape != wanted[name].shape]
    if missing or unknown or mismatched:
        problems = [
            *(f"{name} is missing" for name in missing),
            *(f"{name} is unknown" for name in unknown),
            *(f"{name} is {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}" for name in mismatched),
        ]
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ExtractorError(
            f"{path} holds the weights of another network: {'; '.join(problems[:3])}{more}",
            code="network.weights-unfit",
            file=str(path),
            missing=missing,
            unknown=unknown,
            mismatched=mismatched,
        )
    module.load_state_dict(given, assign=True)


def substituted(state: State, rules: list[tuple[str, str]], without: str) -> State:
    """Rename tensors by the first rule (a pattern of the whole name) that matches; drop those that match `without`."""
    renamed: State = {}
    for name, tensor in state.items():
        if re.match(without, name):
            continue
        for pattern, replacement in rules:
            new_name, n_matches = re.subn(f"^{pattern}$", replacement, name)
            if n_matches:
                renamed[new_name] = tensor
                break
        else:
            renamed[name] = tensor
    return renamed


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
