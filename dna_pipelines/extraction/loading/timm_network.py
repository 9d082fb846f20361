"""Networks of timm, by full name. The extra `timm` installs timm, which needs torchvision."""

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
    """A network of timm without its classifier.

    Args:
        name: ARCHITECTURE.TAG, such as `resnet50.a1_in1k`.
        root: the project's folder.

    Raises:
        ExtractorError: `network.library-broken` when timm cannot be imported, `network.unknown-weights` when timm does
            not know the name, `network.weights-missing` when the weights are not on this machine and cannot be
            downloaded.
    """
    timm, origin = _timm(), f"timm:{name}"
    architecture, dot, _ = name.partition(".")
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(architecture) else None
    if config is None or not dot:
        available = [full for full in timm.list_pretrained(f"{architecture}.*") if full != name]
        hint = f"it has: {', '.join(available)}" if available else "write ARCHITECTURE.TAG, such as resnet50.a1_in1k"
        raise ExtractorError(
            f"{origin}: timm has no such weights; {hint}",
            code="network.unknown-weights",
            network=origin,
            architecture=architecture,
            available=available,
        )
    pretrained = config.to_dict()
    path = required(timm_weights(name), root)
    module = timm.create_model(name, pretrained=False, num_classes=0)
    classifier = pretrained.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)

    def without_heads(state: State) -> State:
        return {key: value for key, value in state.items() if not key.startswith(tuple(f"{head}." for head in heads))}

    load_state(module, read_state(path), without_heads, path)
    preprocessing = from_timm(pretrained, origin)
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    return Network(
        name=f"timm/{architecture}",
        module=module,
        preprocessing=preprocessing,
        taps=default_taps(module, preprocessing.size_px, origin),
        weights_digest=digest_of_files([path]),
        architecture=f"timm.{architecture}",
        licence=pretrained.get("license") or f"unknown: see its model card (https://huggingface.co/timm/{name})",
        summary=f"{type(module).__name__} from {origin}",
        origin=origin,
        prefix_tokens=getattr(module, "num_prefix_tokens", None),
        patch_px=patch[0] if isinstance(patch, tuple) else None,
        libraries=("timm",),
    )


def _timm() -> Any:
    try:
        import timm
    # A torchvision that does not match the installed torch raises exceptions of several classes.
    except Exception as error:
        raise ExtractorError(
            f"timm is installed but cannot be imported ({type(error).__name__}: {error}). It needs the torchvision "
            "that matches the installed torch: install both from the same index",
            code="network.library-broken",
            package="timm",
            needs="torchvision",
            error=type(error).__name__,
        ) from error
    return timm
