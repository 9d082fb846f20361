"""Small networks of many families, with seeded random weights, written to disk as their authors publish them."""

import json
from pathlib import Path

import torch

SIZE_PX = 32

_VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "image_size": SIZE_PX,
    "patch_size": 8,
}
_DINO = {name: value for name, value in _VIT.items() if name != "intermediate_size"}
_BLOCKS = {"encoder.layer.0": 24, "encoder.layer.1": 24, "layernorm": 24}
_FLAT_BLOCKS = {"layers.0": 24, "layers.1": 24, "layernorm": 24}
_TOWER = {"encoder.layers.0": 24, "encoder.layers.1": 24, "post_layernorm": 24}

VIT_PROCESSOR = {"image_processor_type": "ViTImageProcessor", "size": {"height": SIZE_PX, "width": SIZE_PX}}

FAMILIES = {
    # model type: (model class, settings, layers and widths, axes, tokens before those of patches)
    "dinov2": ("Dinov2Model", _DINO, _BLOCKS, (2, 2, 2), 1),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", _DINO | {"num_register_tokens": 3}, _BLOCKS, (2, 2, 2), 4),
    "dinov3_vit": (
        "DINOv3ViTModel",
        _VIT | {"num_register_tokens": 2},
        {"model.layer.0": 24, "model.layer.1": 24, "norm": 24},
        (2, 2, 2),
        3,
    ),
    "vit": ("ViTModel", _VIT, _FLAT_BLOCKS, (2, 2, 2), 1),
    "vit_mae": ("ViTMAEModel", _VIT, _FLAT_BLOCKS, (2, 2, 2), 1),
    "beit": ("BeitModel", _VIT, {"layers.0": 24, "layers.1": 24}, (2, 2), 1),
    "clip_vision_model": ("CLIPVisionModel", _VIT, _TOWER, (2, 2, 1), None),
    "siglip_vision_model": ("SiglipVisionModel", _VIT, _TOWER, (2, 2, 2), 0),
    "resnet": (
        "ResNetModel",
        {"embedding_size": 8, "hidden_sizes": [12, 20], "depths": [2, 1]},
        {"encoder.stages.0.layers.0": 12, "encoder.stages.0.layers.1": 12, "encoder.stages.1.layers.0": 20},
        (1, 1, 1),
        None,
    ),
    "convnext": (
        "ConvNextModel",
        {"hidden_sizes": [8, 12], "depths": [2, 1], "num_stages": 2},
        {
            "encoder.stages.0.layers.0": 8,
            "encoder.stages.0.layers.1": 8,
            "encoder.stages.1.layers.0": 12,
            "layernorm": 12,
        },
        (1, 1, 1, 1),
        None,
    ),
    "swin": (
        "SwinModel",
        {"image_size": SIZE_PX, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 4},
        {
            "encoder.layers.0.blocks.0": 8,
            "encoder.layers.1.blocks.0": 16,
            "encoder.layers.1.blocks.1": 16,
            "layernorm": 16,
        },
        (2, 2, 2, 2),
        0,
    ),
}  # fmt: skip


def write_family(folder: Path, family: str, seed: int = 0) -> torch.nn.Module:
    """Write a network as its library does, and return the one that was written."""
    import transformers

    name, settings, *_ = FAMILIES[family]
    cls = getattr(transformers, name)
    torch.manual_seed(seed)
    module = cls(cls.config_class(**settings)).eval()
    module.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(VIT_PROCESSOR))
    return module
