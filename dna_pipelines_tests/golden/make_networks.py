"""Writes networks.json: the activations of the reference's own networks (vdna 0.1.1) on noise.

Needs vdna 0.1.1 and torchvision. Where torchvision was built for another torch, its Python parts work
all the same. No weights are downloaded.

    python -m dna_pipelines_tests.golden.make_networks
"""

import json
import sys
import types
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from dna_pipelines_tests.golden.noise import images, published_state, summary


def _tensors(shapes):
    return {name: torch.from_numpy(values) for name, values in published_state(shapes).items()}


def _shapes(module):
    return [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]


def _facts(shapes, size_px, features):
    with torch.inference_mode():
        layers = features(torch.from_numpy(images(1, size_px)))
    found = {name: summary(out.flatten(2) if out.ndim > 2 else out) for name, out in layers.items()}
    widths = {name: out.shape[1] for name, out in layers.items()}
    return {"shapes": shapes, "size_px": size_px, "widths": widths, "layers": found}


def _vit(module, prefix=""):
    shapes = _shapes(module)
    module.load_state_dict(_tensors(shapes))

    def features(batch):
        outputs = module(batch) if prefix else module(batch, return_all_feats=True)
        names = [*(f"block_{index}" for index in range(len(outputs) - 1)), "last_norm"]
        return {name: out.permute(0, 2, 1) for name, out in zip(names, outputs, strict=True)}

    return _facts(shapes, 224, features)


def main():
    for name in ("torchvision._meta_registrations", "cv2"):
        sys.modules.setdefault(name, types.ModuleType(name))
    from vdna.networks import clip, dino_resnet50, dino_vit, inception_pytorch, mugs_vit, vgg16

    found = {"dino_vit_base": _vit(dino_vit.vit_base().eval())}
    small = {
        "embed_dim": 192,
        "depth": 2,
        "num_heads": 3,
        "qkv_bias": True,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
    }
    found["small vit"] = _vit(dino_vit.VisionTransformer(**small).eval())
    found["mugs_vit_base"] = _vit(mugs_vit.vit_base(num_relation_blocks=1).eval(), prefix="mugs")

    patched = {"hf_hub_download": mock.DEFAULT, "load_dict": lambda _: {"mins_per_neuron": {}, "maxs_per_neuron": {}}}
    with mock.patch.multiple(dino_resnet50, **patched):
        resnet = dino_resnet50.ResNetFeatureExtractor(dino_resnet50.Bottleneck, [3, 4, 6, 3]).eval()
    resnet.load_state_dict(_tensors(_shapes(resnet)))
    found["dino_resnet50"] = _facts(_shapes(resnet), 64, lambda batch: resnet.forward_backbone(batch)[1])

    made = vgg16.models.vgg16()
    shapes = _shapes(made)
    made.load_state_dict(_tensors(shapes))
    with mock.patch.object(vgg16.models, "vgg16", return_value=made):
        vgg = vgg16.VGG16(padding="zero").eval()
    names = [f"relu_{group}_{index}" for group, n in enumerate((2, 2, 3, 3, 3), 1) for index in range(1, n + 1)]
    found["vgg16"] = _facts(
        shapes, 64, lambda batch: dict(zip(names, map(torch.clone, vgg.fw_relu(batch, 13, False)), strict=True))
    )

    fetched = mock.patch.object(inception_pytorch, "load_state_dict_from_url", side_effect=_inception_state)
    with fetched, mock.patch.multiple(inception_pytorch, **patched):
        shapes = _shapes(inception_pytorch.fid_inception_v3())
        fid = inception_pytorch.InceptionV3([0, 1, 2, 3], resize_input=False, normalize_input=False).eval()
    found["inception"] = _facts(shapes, 107, fid)

    text = {"context_length": 4, "vocab_size": 5, "transformer_width": 64, "transformer_heads": 1}
    for name, depth, width in (("clip_im_vit_b16", 12, 768), ("small clip", 2, 192)):
        tower = clip.CLIP(8, 224, depth, width, 16, transformer_layers=1, **text).eval()
        shapes = _shapes(tower)
        tower.load_state_dict(_tensors(shapes))
        found[name] = _facts(shapes, 224, partial(_clip_features, tower))
    text = json.dumps(found, separators=(",", ":")).replace('"widths"', '\n"widths"').replace('},"', '},\n"')
    (Path(__file__).parent / "networks.json").write_text(text + "\n")


def _clip_features(tower, batch):
    *blocks, last = tower.visual(batch)[1]
    return {**{f"block_{i}": out.permute(1, 2, 0) for i, out in enumerate(blocks)}, "last_norm": last[:, 0]}


def _inception_state(*_, **__):
    import torchvision

    return _tensors(_shapes(torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)))


if __name__ == "__main__":
    main()
