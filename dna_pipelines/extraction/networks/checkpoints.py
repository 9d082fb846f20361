"""Reading checkpoints: tensors only, and every tensor accounted for."""

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
"""From the names (and shapes) of a published checkpoint to those of the module. Names it does not know it
leaves as they are, and it leaves out those that belong to parts the module does not have."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state(path: Path) -> State:
    """The tensors of a file: safetensors, or a pickle out of which nothing but tensors can come.

    Raises:
        ExtractorError: when it is damaged, or holds anything else.
    """
    try:
        if _is_torchscript(path):
            raise ExtractorError(
                f"{path} is a TorchScript archive, which can run code, and is not loaded; "
                "take the same weights as safetensors"
            )
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise ExtractorError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from error
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise ExtractorError(f"{path} holds no weights")
    return {
        str(name).removeprefix("module."): tensor for name, tensor in found.items() if isinstance(tensor, torch.Tensor)
    }


def load_state(module: nn.Module, state: State, rename: Rename, path: Path) -> None:
    """Fill a module with a published checkpoint, in float32.

    Raises:
        ExtractorError: when a tensor is missing, too many, or of another shape: it is another network's file.
    """
    given = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in rename(state).items()}
    wanted = module.state_dict()
    # How many batches a normalisation has seen plays no part once it is frozen, and old files lack it.
    counters = {name: torch.tensor(0) for name in wanted if name.endswith("num_batches_tracked")}
    given = {**counters, **given}
    wrong = [
        *(f"{name} is missing" for name in wanted if name not in given),
        *(f"{name} belongs to nothing" for name in given if name not in wanted),
        *(
            f"{name} is {tuple(given[name].shape)} and should be {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ),
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ExtractorError(f"{path} holds the weights of another network: {'; '.join(wrong[:3])}{more}")
    module.load_state_dict(given, assign=True)


def substituted(state: State, rules: list[tuple[str, str]], without: str) -> State:
    """Names after the first rule (a pattern of the whole name) that fits; what fits `without` is left out."""
    found: State = {}
    for name, tensor in state.items():
        if re.match(without, name):
            continue
        for pattern, replacement in rules:
            renamed, n_made = re.subn(f"^{pattern}$", replacement, name)
            if n_made:
                found[renamed] = tensor
                break
        else:
            found[name] = tensor
    return found


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
