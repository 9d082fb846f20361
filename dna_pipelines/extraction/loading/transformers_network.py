"""Vision networks in the layout of transformers: from the Hugging Face hub or a folder."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.model_folder import ModelFolder
from dna_pipelines.extraction.files.processors import from_transformers
from dna_pipelines.extraction.files.weight_files import digest_of_files
from dna_pipelines.extraction.probing.layer_choice import default_taps
from dna_pipelines.identity import stable_hash

_TOWERS = {
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
"""Networks of images and texts, by their model type: the class of the part that sees."""

_MAY_BE_MISSING = ("pooler.",)
"""A part that comes after every default layer, and that many checkpoints lack."""


def transformers_network(folder: ModelFolder, origin: str, licence: str) -> Network:
    """A network from `config.json`, `preprocessor_config.json` and safetensors.

    The code of a repository is never run: only architectures that transformers itself has can be loaded.

    Args:
        folder: its files.
        origin: what the person calls it, for messages.
        licence: of the weights.

    Raises:
        ExtractorError: when a file is missing or does not fit, or the network does not take images alone.
    """
    files = folder.weight_files()
    described_in, processor = folder.processor()
    preprocessing = from_transformers(processor, f"{origin}, {described_in}")
    config = folder.decisive_config()
    module = _load(folder, origin)
    patch_px = getattr(module.config, "patch_size", None)
    return Network(
        name=str(config.get("model_type", type(module).__name__)),
        module=module,
        preprocessing=preprocessing,
        taps=default_taps(module, preprocessing.size_px, f"{origin}, images as {described_in} has them"),
        weights_digest=digest_of_files(files),
        architecture=f"transformers.{type(module).__name__}/{stable_hash(config)}",
        licence=licence,
        summary=f"{type(module).__name__} from {origin}",
        origin=origin,
        patch_px=patch_px if isinstance(patch_px, int) else None,
        libraries=("transformers",),
    )


def _load(folder: ModelFolder, origin: str) -> Any:
    import transformers

    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet():
            config = transformers.AutoConfig.from_pretrained(folder.path, **options)
            tower = _TOWERS.get(config.model_type)
            if tower is None and hasattr(config, "vision_config"):
                raise ExtractorError(
                    f"{origin}: a {config.model_type} has several towers, and which of them sees is known for "
                    f"{', '.join(sorted(_TOWERS))}; save its vision model alone and use local:FOLDER"
                )
            if config.model_type == "vit_mae":
                config.mask_ratio = 0.0
            source = getattr(transformers, tower) if tower else transformers.AutoModel
            # What does not fit is in the report, which says more than the error would.
            module, said = source.from_pretrained(
                folder.path, **({} if tower else {"config": config}), **options,
                use_safetensors=True, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except ExtractorError:
        raise
    # Files that do not fit fail in as many ways as there are architectures.
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ExtractorError(
                f"{origin}: its architecture is code of its own, and code that comes with weights is never run; "
                "only those that transformers itself has can be loaded. If you trust it, write a function that "
                "builds the network, and use MODULE:FUNCTION"
            ) from error
        raise ExtractorError(f"{origin} cannot be loaded by transformers: {error}") from error
    _require_weights(said, origin)
    for part in {name.partition(".")[0] for name in said["missing_keys"]}:
        _without(module, part)
    if next(iter(inspect.signature(module.forward).parameters), None) != "pixel_values":
        raise ExtractorError(f"{origin}: {type(module).__name__} takes more than images")
    if config.model_type == "vit_mae":
        module.register_forward_pre_hook(_in_order, with_kwargs=True)
    return module.eval()


def _require_weights(said: dict[str, Any], origin: str) -> None:
    """Every tensor must have been there, in the shape that config.json asks for."""
    if unfit := [
        f"{name} has the shape {tuple(found)} instead of {tuple(wanted)}"
        for name, found, wanted in sorted(said["mismatched_keys"])
    ]:
        raise ExtractorError(f"{origin}: its weights do not fit its config.json: {_first(unfit)}")
    if missing := sorted(name for name in said["missing_keys"] if not name.startswith(_MAY_BE_MISSING)):
        raise ExtractorError(f"{origin}: its weights lack {_first(missing)}")


def _first(things: list[str]) -> str:
    return ", ".join(things[:3]) + (f" and {len(things) - 3} more" if len(things) > 3 else "")


def _without(module: nn.Module, part: str) -> None:
    """Take out a part that has no weights, so that it cannot be tapped."""
    if isinstance(getattr(module, part, None), nn.Module):
        setattr(module, part, None)


def _in_order(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """MAE shuffles patches by random numbers: rising ones leave them all where they are."""
    config: Any = module.config
    rising = torch.arange((config.image_size // config.patch_size) ** 2, dtype=torch.float32, device=args[0].device)
    return args, {**kwargs, "noise": rising.expand(len(args[0]), -1)}


@contextmanager
def _quiet() -> Iterator[None]:
    """What transformers logs about unused heads and progress is no news to anybody here."""
    from transformers.utils import logging as transformers_logging

    theirs: Any = transformers_logging
    before, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.ERROR)
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(before)
        if bars:
            theirs.enable_progress_bar()
