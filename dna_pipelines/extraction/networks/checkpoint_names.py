"""Translates the tensor names of published checkpoints to those of this package's modules."""

from __future__ import annotations

import re

import torch

from dna_pipelines.extraction.networks.checkpoints import State, substituted


def vit_names(state: State) -> State:
    """From the layout of timm, DINO and Mugs, without Mugs' relation block and heads."""
    rules = [
        (r"cls_token", "cls"),
        (r"pos_embed", "positions"),
        (r"patch_embed\.proj\.(\w+)", r"patches.\1"),
        (r"blocks\.(\d+)\.(norm[12])\.(\w+)", r"block_\1.\2.\3"),
        (r"blocks\.(\d+)\.attn\.(qkv|proj)\.(\w+)", r"block_\1.\2.\3"),
        (r"blocks\.(\d+)\.mlp\.fc1\.(\w+)", r"block_\1.mlp.0.\2"),
        (r"blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"block_\1.mlp.2.\2"),
        (r"norm\.(\w+)", r"last_norm.\1"),
    ]
    return substituted(state, rules, r"(head|relation_blocks)\.")


def clip_names(state: State) -> State:
    """From OpenAI's layout (also that of open_clip) or that of transformers, without the text tower."""
    if any(name.startswith("vision_model.") for name in state):
        return _clip_of_transformers(state)
    rules = [
        (r"visual\.class_embedding", "cls"),
        (r"visual\.positional_embedding", "positions"),
        (r"visual\.conv1\.weight", "patches.weight"),
        (r"visual\.ln_pre\.(\w+)", r"first_norm.\1"),
        (r"visual\.ln_post\.(\w+)", r"last_norm.\1"),
        (r"visual\.transformer\.resblocks\.(\d+)\.ln_([12])\.(\w+)", r"block_\1.norm\2.\3"),
        (r"visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_(\w+)", r"block_\1.qkv.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.attn\.out_proj\.(\w+)", r"block_\1.proj.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.mlp\.c_fc\.(\w+)", r"block_\1.mlp.0.\2"),
        (r"visual\.transformer\.resblocks\.(\d+)\.mlp\.c_proj\.(\w+)", r"block_\1.mlp.2.\2"),
    ]
    return _with_batch_axes(substituted(state, rules, r"(?!visual\.)|visual\.proj$"))


def _clip_of_transformers(state: State) -> State:
    inside = r"vision_model\.encoder\.layers\.(\d+)"
    rules = [
        (r"vision_model\.embeddings\.class_embedding", "cls"),
        (r"vision_model\.embeddings\.position_embedding\.weight", "positions"),
        (r"vision_model\.embeddings\.patch_embedding\.weight", "patches.weight"),
        (r"vision_model\.pre_layrnorm\.(\w+)", r"first_norm.\1"),
        (r"vision_model\.post_layernorm\.(\w+)", r"last_norm.\1"),
        (rf"{inside}\.layer_norm([12])\.(\w+)", r"block_\1.norm\2.\3"),
        (rf"{inside}\.self_attn\.out_proj\.(\w+)", r"block_\1.proj.\2"),
        (rf"{inside}\.mlp\.fc1\.(\w+)", r"block_\1.mlp.0.\2"),
        (rf"{inside}\.mlp\.fc2\.(\w+)", r"block_\1.mlp.2.\2"),
        (rf"{inside}\.self_attn\.q_proj\.(\w+)", r"block_\1.qkv.\2"),
    ]
    ours = dict(state)
    for name in state:
        # The checkpoint has three projections, the module one that holds them one after the other.
        if re.match(rf"^{inside}\.self_attn\.q_proj\.", name):
            others = [name.replace(".q_proj.", f".{other}_proj.") for other in "kv"]
            if all(other in ours for other in others):
                ours[name] = torch.cat([ours[name], *(ours.pop(other) for other in others)])
    return _with_batch_axes(substituted(ours, rules, r"(?!vision_model\.)|vision_model\.embeddings\.position_ids$"))


def _with_batch_axes(state: State) -> State:
    return {
        name: tensor.reshape(1, -1, tensor.shape[-1]) if name in ("cls", "positions") else tensor
        for name, tensor in state.items()
    }


def resnet_names(state: State) -> State:
    """From torchvision's layout (also that of DINO and SwAV), without heads."""
    return substituted(state, [(r"layer(\d)\.(\d+)\.(.+)", r"layer\1_\2.\3")], r"(fc|projection_head|prototypes)\.")


def vgg_names(state: State) -> State:
    """From torchvision's layout, without the classifier."""
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    names = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3")
    rules = [
        (rf"features\.{index}\.(\w+)", rf"relu_{name}.conv.\1") for index, name in zip(indices, names, strict=True)
    ]
    return substituted(state, rules, r"classifier\.")


def inception_names(state: State) -> State:
    """From pytorch-fid's layout, without the classifier."""
    rules = [
        (r"(Conv2d_[12].+)", r"block_0.\1"),
        (r"(Conv2d_[34].+)", r"block_1.\1"),
        (r"(Mixed_[56].+)", r"block_2.\1"),
        (r"(Mixed_7.+)", r"block_3.\1"),
    ]
    return substituted(state, rules, r"(fc|AuxLogits)\.")
