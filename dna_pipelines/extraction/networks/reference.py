"""The networks of the reference implementation (vdna 0.1.1), under its names.

The weights are not part of this package: `catalogue` says who published each and under which licence.
Checkpoints are read in the layout of their publisher. Layers are those of the reference, under its names,
except that CLIP's last layer keeps images apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Network
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.weight_files import digest_of_files, required
from dna_pipelines.extraction.networks.checkpoint_names import (
    clip_names,
    inception_names,
    resnet_names,
    vgg_names,
    vit_names,
)
from dna_pipelines.extraction.networks.checkpoints import Rename, load_state, read_state
from dna_pipelines.extraction.networks.convnets import ResNet50, Vgg16
from dna_pipelines.extraction.networks.inception import FidInception
from dna_pipelines.extraction.networks.vit import VisionTransformer
from dna_pipelines.imaging import Preprocessing

_Three = tuple[float, float, float]
_IMAGENET: tuple[_Three, _Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[_Three, _Three] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF: tuple[_Three, _Three] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class _Plan:
    """How to build a network of the reference; `module` has `layers`, the names of the tapped modules."""

    module: Callable[[], Any]
    rename: Rename
    architecture: str
    colours: tuple[_Three, _Three] = _IMAGENET
    prefix_tokens: int | None = None


def _vit_base() -> VisionTransformer:
    return VisionTransformer(768, 12, 12)


_PLANS = {
    "mugs_vit_base": _Plan(_vit_base, vit_names, "vit_b16/1", prefix_tokens=1),
    "mugs_vit_large": _Plan(lambda: VisionTransformer(1024, 24, 16), vit_names, "vit_l16/1", prefix_tokens=1),
    "dino_vit_base": _Plan(_vit_base, vit_names, "vit_b16/1", prefix_tokens=1),
    "dino_resnet50": _Plan(ResNet50, resnet_names, "resnet50/1"),
    "clip_im_vit_b16": _Plan(
        lambda: VisionTransformer(768, 12, 12, clip=True), clip_names, "clip_vit_b16/1", _CLIP, prefix_tokens=1
    ),
    "inception": _Plan(FidInception, inception_names, "fid_inception_v3/1", _HALF),
    "vgg16": _Plan(Vgg16, vgg_names, "vgg16/1"),
    "rand_resnet50": _Plan(ResNet50, resnet_names, "resnet50/1"),
}


def reference_network(name: str, root: Path) -> Network:
    """A network of the reference with its published weights.

    Args:
        name: a name of `catalogue.REFERENCE`.
        root: the project's folder.

    Raises:
        ExtractorError: `network.weights-missing` (with the path where to put them), `network.weights-unreadable` or
            `network.weights-unfit`.
    """
    published = KNOWN[name].published
    if published is None:
        raise ExtractorError(
            f"{name} comes with the package and has no published weights; load it by its name",
            code="network.not-published",
            network=name,
        )
    path = required(published, root)
    network = skeleton(name, weights_digest=digest_of_files([path]))
    load_state(network.module, read_state(path), _PLANS[name].rename, path)
    return network


def skeleton(name: str, weights_digest: str = "") -> Network:
    """A network of the reference without weights: its parameters are on torch's meta device."""
    plan, known = _PLANS[name], KNOWN[name]
    with torch.device("meta"):
        module = plan.module()
    return Network(
        name=name,
        module=module,
        preprocessing=Preprocessing.reference(known.input_px, *plan.colours),
        taps=module.layers,
        weights_digest=weights_digest,
        architecture=plan.architecture,
        licence=known.licence,
        summary=known.summary,
        prefix_tokens=plan.prefix_tokens,
    )
