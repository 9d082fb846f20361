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
"""Networks of images and texts, by model type: the class of the image tower."""

_MAY_BE_MISSING = ("pooler.",)
"""A part after all default layers, which many checkpoints lack."""


def transformers_network(folder: ModelFolder, origin: str, licence: str) -> Network:
    """A network from `config.json`, `preprocessor_config.json` and safetensors.

    The code of a repository is never run: only architectures that transformers itself has can be loaded.

    Args:
        folder: its files.
        origin: its location as the user writes it, for messages.
        licence: of the weights.

    Raises:
        ExtractorError: `network.folder` or `network.config` when a file is missing or unreadable,
            `network.preprocessing-…`, `network.architecture` when transformers cannot load it or it takes more than
            images, `network.code-in-repository`, or `network.weights-unfit`.
    """
    files = folder.weight_files()
    processor_file, processor = folder.processor()
    preprocessing = from_transformers(processor, f"{origin}, {processor_file}")
    config = folder.decisive_config()
    module = _load(folder, origin)
    patch_px = getattr(module.config, "patch_size", None)
    return Network(
        name=str(config.get("model_type", type(module).__name__)),
        module=module,
        preprocessing=preprocessing,
        taps=default_taps(module, preprocessing.size_px, f"{origin}, with images prepared by {processor_file}"),
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
                    f"{origin}: a {config.model_type} has several towers, and its image tower is not known (it is for "
                    f"{', '.join(sorted(_TOWERS))}); save its vision model alone and use local:FOLDER",
                    code="network.architecture",
                    network=origin,
                    architecture=config.model_type,
                    reason="towers",
                )
            if config.model_type == "vit_mae":
                config.mask_ratio = 0.0
            source = getattr(transformers, tower) if tower else transformers.AutoModel
            # The report lists all weights that do not fit, where an error would stop at the first.
            module, report = source.from_pretrained(
                folder.path, **({} if tower else {"config": config}), **options,
                use_safetensors=True, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except ExtractorError:
        raise
    # Files that do not fit raise different exceptions for each architecture.
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ExtractorError(
                f"{origin}: its architecture is code in the repository, which is never run; only architectures of "
                "transformers itself can be loaded. If you trust the code, write a function that builds the network, "
                "and use MODULE:FUNCTION",
                code="network.code-in-repository",
                network=origin,
            ) from error
        raise ExtractorError(
            f"{origin} cannot be loaded by transformers: {error}",
            code="network.architecture",
            network=origin,
            reason="not-loadable",
            error=type(error).__name__,
        ) from error
    _require_weights(report, origin)
    for part in {name.partition(".")[0] for name in report["missing_keys"]}:
        _remove_part(module, part)
    if next(iter(inspect.signature(module.forward).parameters), None) != "pixel_values":
        raise ExtractorError(
            f"{origin}: {type(module).__name__} takes more than images; use a vision model",
            code="network.architecture",
            network=origin,
            architecture=type(module).__name__,
            reason="inputs",
        )
    if config.model_type == "vit_mae":
        module.register_forward_pre_hook(_in_order, with_kwargs=True)
    return module.eval()


def _require_weights(report: dict[str, Any], origin: str) -> None:
    """Every tensor must exist, in the shape that config.json requires."""
    mismatched = sorted(report["mismatched_keys"])
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(_MAY_BE_MISSING))
    if mismatched:
        shapes = [
            f"{name} has the shape {tuple(shape)} instead of {tuple(wanted)}" for name, shape, wanted in mismatched
        ]
        problem = f"its weights do not fit its config.json: {_first(shapes)}"
    elif missing:
        problem = f"its weights lack {_first(missing)}"
    else:
        return
    raise ExtractorError(
        f"{origin}: {problem}; use the files of one network",
        code="network.weights-unfit",
        network=origin,
        missing=missing,
        mismatched=[name for name, _, _ in mismatched],
    )


def _first(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _remove_part(module: nn.Module, part: str) -> None:
    """Remove a part without weights, so that it cannot be tapped."""
    if isinstance(getattr(module, part, None), nn.Module):
        setattr(module, part, None)


def _in_order(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """Keep the patches of MAE in order: it sorts them by random numbers, which are replaced by rising ones."""
    config: Any = module.config
    rising = torch.arange((config.image_size // config.patch_size) ** 2, dtype=torch.float32, device=args[0].device)
    return args, {**kwargs, "noise": rising.expand(len(args[0]), -1)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what transformers logs about unused heads and progress, which does not concern extraction."""
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
