"""The networks that have a name, and their properties, known without loading torch.

`dna extractors` lists them; tests compare the numbers with those of the probed networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from dna_pipelines.extraction.files.weight_files import Published


@dataclass(frozen=True)
class Known:
    """A network that the datasets file can name.

    Attributes:
        name: the name.
        summary: one sentence for `dna extractors`.
        n_layers: number of default layers.
        n_neurons: number of neurons in all of them.
        input_px: height and width of an input, in pixels.
        licence: of the weights, as the README or LICENSE of the repository that released them says
            (sail-sg/mugs, facebookresearch/dino, openai/CLIP, mseitzer/pytorch-fid, pytorch/vision, the package vdna).
        published: where its weights are published; None if the package contains them or it has none.
        has_weights: whether it has weights.
    """

    name: str
    summary: str
    n_layers: int
    n_neurons: int
    input_px: int
    licence: str
    published: Published | None = None
    has_weights: bool = True


_REFERENCE_HUB = "bramtoula/visual-dna-models"
"""The reference implementation's repository of weights on the Hugging Face hub."""

BUILT_IN = (
    Known(
        "builtin",
        "A small residual net that learnt formulas, palettes and damage from drawn images; the default.",
        5, 240, 96, "Apache-2.0 (no training data but formulas)",
    ),
    Known(
        "seeded_cnn",
        "A small convolutional net with seeded random weights, for tests; sees colour, brightness and edges.",
        4, 208, 96, "Apache-2.0 (no training data)",
    ),
    Known(
        "seeded_vit",
        "A small vision transformer with seeded random weights, for tests of networks of tokens.",
        4, 256, 64, "Apache-2.0 (no training data)",
    ),
    Known(
        "scattering",
        "Wavelets without weights, whose neurons are called after colour, octave and orientation.",
        8, 147, 96, "none needed: no weights", has_weights=False,
    ),
)  # fmt: skip

REFERENCE = (
    Known(
        "mugs_vit_base",
        "ViT-B/16, self-supervised with Mugs on ImageNet: what the Visual DNA paper recommends.",
        13, 9_984, 224, "Apache-2.0",
        Published("mugs_vit_base", _REFERENCE_HUB, hub_file="Mugs/mugs_vit_base/weights.pth"),
    ),
    Known(
        "mugs_vit_large",
        "ViT-L/16, self-supervised with Mugs on ImageNet.",
        25, 25_600, 224, "Apache-2.0",
        Published("mugs_vit_large", _REFERENCE_HUB, hub_file="Mugs/mugs_vit_large/weights.pth"),
    ),
    Known(
        "dino_vit_base",
        "ViT-B/16, self-supervised with DINO on ImageNet.",
        13, 9_984, 224, "Apache-2.0",
        Published(
            "dino_vit_base",
            url="https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
        ),
    ),
    Known(
        "dino_resnet50",
        "ResNet-50, self-supervised with DINO on ImageNet.",
        16, 15_104, 224, "Apache-2.0",
        Published(
            "dino_resnet50",
            url="https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth",
        ),
    ),
    Known(
        "clip_im_vit_b16",
        "The image tower of CLIP ViT-B/16, trained on pairs of images and texts.",
        13, 9_984, 224, "MIT (timm's copy of the weights: Apache-2.0)",
        Published("clip_im_vit_b16", "timm/vit_base_patch16_clip_224.openai", hub_file="open_clip_model.safetensors"),
    ),
    Known(
        "inception",
        "Inception v3 as the Fréchet Inception Distance uses it; its last layer gives the FID.",
        4, 3_072, 299, "Apache-2.0",
        Published(
            "inception",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
    ),
    Known(
        "vgg16",
        "VGG-16, trained on ImageNet's labels.",
        13, 4_224, 224, "BSD-3-Clause (torchvision; what it was trained on may have terms of its own)",
        Published("vgg16", url="https://download.pytorch.org/models/vgg16-397923af.pth"),
    ),
    Known(
        "rand_resnet50",
        "ResNet-50 with the random weights of the reference implementation.",
        16, 15_104, 224, "MIT (as the reference's package)",
        Published("rand_resnet50", _REFERENCE_HUB, hub_file="Random/rand_resnet50/weights.pth"),
    ),
)  # fmt: skip

KNOWN = {known.name: known for known in (*BUILT_IN, *REFERENCE)}
