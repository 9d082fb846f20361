"""Any network of timm, by its full name. timm comes with the extra `timm`, and needs torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.processors import from_timm
from dna_pipelines.extraction.files.weight_files import digest_of_files, required, timm_weights
from dna_pipelines.extraction.networks.checkpoints import State, load_state, read_state
from dna_pipelines.extraction.probing.layer_choice import default_taps


def timm_network(name: str, root: Path) -> Network:
    """A network of timm with the weights its full name means, without its classifier.

    Raises:
        ExtractorError: when timm is missing or does not know the name, or the weights are not here.
    """
    timm, origin = _timm(), f"timm:{name}"
    architecture, dot, tag = name.partition(".")
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(architecture) else None
    if config is None or not dot:
        tags = [full for full in timm.list_pretrained(f"{architecture}.*") if full != name]
        raise ExtractorError(
            f"{origin}: timm has no such weights; "
            + (
                f"it has: {', '.join(tags)}"
                if tags
                else f"names are ARCHITECTURE.TAG, such as resnet50.a1_in1k ({tag})"
            )
        )
    facts = config.to_dict()
    path = required(timm_weights(name), root)
    module = timm.create_model(name, pretrained=False, num_classes=0)
    classifier = facts.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)

    def without_heads(state: State) -> State:
        return {key: value for key, value in state.items() if not key.startswith(tuple(f"{head}." for head in heads))}

    load_state(module, read_state(path), without_heads, path)
    preprocessing = from_timm(facts, origin)
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    return Network(
        name=f"timm/{architecture}",
        module=module,
        preprocessing=preprocessing,
        taps=default_taps(module, preprocessing.size_px, origin),
        weights_digest=digest_of_files([path]),
        architecture=f"timm.{architecture}",
        licence=facts.get("license") or f"unknown: see its model card (https://huggingface.co/timm/{name})",
        summary=f"{type(module).__name__} from {origin}",
        origin=origin,
        prefix_tokens=getattr(module, "num_prefix_tokens", None),
        patch_px=patch[0] if isinstance(patch, tuple) else None,
        libraries=("timm",),
    )


def _timm() -> Any:
    try:
        import timm
    # A torchvision that belongs to another torch fails in several ways.
    except Exception as error:
        raise ExtractorError(
            f"timm is installed but cannot be imported ({type(error).__name__}: {error}). It needs the torchvision "
            "that belongs to the installed torch: install both from the same index"
        ) from error
    return timm
