"""Inception v3 in the variant of the Fréchet Inception Distance.

It is the network of Szegedy et al. (2015) for TensorFlow's weights of December 2015: average pools do not count the
padding, and the last mixed block pools by maximum. Modules are named as in the checkpoint of pytorch-fid, inside
blocks named like the layers of the reference implementation.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import nn


class _Conv(NamedTuple):
    """A convolution, normalised and rectified: its name in a mixed block, its width and its kernel."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


_Chain = tuple["_Conv | tuple[_Conv, _Conv]", ...]
"""Convolutions in a row; the two of a pair are parallel and take the same input."""

_ROW, _COLUMN, _3X3, _5X5 = (1, 7), (7, 1), (3, 3), (5, 5)


def _fine(pool_width: int) -> tuple[_Chain, ...]:
    """Inception's module A."""
    return (
        (_Conv("branch1x1", 64),),
        (_Conv("branch5x5_1", 48), _Conv("branch5x5_2", 64, _5X5)),
        (_Conv("branch3x3dbl_1", 64), _Conv("branch3x3dbl_2", 96, _3X3), _Conv("branch3x3dbl_3", 96, _3X3)),
        (_Conv("branch_pool", pool_width),),
    )


_TO_MIDDLE: tuple[_Chain, ...] = (
    (_Conv("branch3x3", 384, _3X3, 2, padded=False),),
    (
        _Conv("branch3x3dbl_1", 64),
        _Conv("branch3x3dbl_2", 96, _3X3),
        _Conv("branch3x3dbl_3", 96, _3X3, 2, padded=False),
    ),
    (),
)


def _middle(width: int) -> tuple[_Chain, ...]:
    """Inception's module C, with convolutions of 7 × 7 taken apart."""
    return (
        (_Conv("branch1x1", 192),),
        (_Conv("branch7x7_1", width), _Conv("branch7x7_2", width, _ROW), _Conv("branch7x7_3", 192, _COLUMN)),
        (
            _Conv("branch7x7dbl_1", width),
            _Conv("branch7x7dbl_2", width, _COLUMN),
            _Conv("branch7x7dbl_3", width, _ROW),
            _Conv("branch7x7dbl_4", width, _COLUMN),
            _Conv("branch7x7dbl_5", 192, _ROW),
        ),
        (_Conv("branch_pool", 192),),
    )


_TO_COARSE: tuple[_Chain, ...] = (
    (_Conv("branch3x3_1", 192), _Conv("branch3x3_2", 320, _3X3, 2, padded=False)),
    (
        _Conv("branch7x7x3_1", 192),
        _Conv("branch7x7x3_2", 192, _ROW),
        _Conv("branch7x7x3_3", 192, _COLUMN),
        _Conv("branch7x7x3_4", 192, _3X3, 2, padded=False),
    ),
    (),
)

_COARSE: tuple[_Chain, ...] = (
    (_Conv("branch1x1", 320),),
    (_Conv("branch3x3_1", 384), (_Conv("branch3x3_2a", 384, (1, 3)), _Conv("branch3x3_2b", 384, (3, 1)))),
    (
        _Conv("branch3x3dbl_1", 448),
        _Conv("branch3x3dbl_2", 384, _3X3),
        (_Conv("branch3x3dbl_3a", 384, (1, 3)), _Conv("branch3x3dbl_3b", 384, (3, 1))),
    ),
    (_Conv("branch_pool", 192),),
)


class _BasicConv(nn.Module):
    def __init__(self, width_in: int, spec: _Conv) -> None:
        super().__init__()
        padding = (spec.kernel[0] // 2, spec.kernel[1] // 2) if spec.padded else (0, 0)
        self.conv = nn.Conv2d(width_in, spec.width, spec.kernel, spec.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(spec.width, eps=0.001)
        self.width = spec.width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn(self.conv(x)).relu_()
        return out


class _Mixed(nn.Module):
    """Parallel chains whose outputs are concatenated; the last chain begins with a pool."""

    def __init__(self, width_in: int, chains: tuple[_Chain, ...], pool: Literal["mean", "max", "max, halving"]) -> None:
        super().__init__()
        self.chains, self.width = chains, 0
        self.pool: nn.Module
        if pool == "mean":
            self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        else:
            self.pool = nn.MaxPool2d(3, 1, 1) if pool == "max" else nn.MaxPool2d(3, 2)
        for chain in chains:
            before = width_in
            for link in chain:
                pair = (link,) if isinstance(link, _Conv) else link
                for spec in pair:
                    self.add_module(spec.name, _BasicConv(before, spec))
                before = sum(spec.width for spec in pair)
            self.width += before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for chain in self.chains:
            out = self.pool(x) if chain is self.chains[-1] else x
            for link in chain:
                pair = (link,) if isinstance(link, _Conv) else link
                sides = [self.get_submodule(spec.name)(out) for spec in pair]
                out = sides[0] if len(sides) == 1 else torch.cat(sides, 1)
            outputs.append(out)
        return torch.cat(outputs, 1)


class FidInception(nn.Module):
    """Four blocks: `block_0` to the first pool, `block_1` to the second, `block_2`, `block_3` with the mean."""

    layers = ("block_0", "block_1", "block_2", "block_3")

    def __init__(self) -> None:
        super().__init__()
        plan: tuple[tuple[tuple[str, object], ...], ...] = (
            (
                ("Conv2d_1a_3x3", _Conv("", 32, _3X3, 2, padded=False)),
                ("Conv2d_2a_3x3", _Conv("", 32, _3X3, padded=False)),
                ("Conv2d_2b_3x3", _Conv("", 64, _3X3)),
                ("pool", nn.MaxPool2d(3, 2)),
            ),
            (
                ("Conv2d_3b_1x1", _Conv("", 80)),
                ("Conv2d_4a_3x3", _Conv("", 192, _3X3, padded=False)),
                ("pool", nn.MaxPool2d(3, 2)),
            ),
            (
                ("Mixed_5b", (_fine(32), "mean")),
                ("Mixed_5c", (_fine(64), "mean")),
                ("Mixed_5d", (_fine(64), "mean")),
                ("Mixed_6a", (_TO_MIDDLE, "max, halving")),
                ("Mixed_6b", (_middle(128), "mean")),
                ("Mixed_6c", (_middle(160), "mean")),
                ("Mixed_6d", (_middle(160), "mean")),
                ("Mixed_6e", (_middle(192), "mean")),
            ),
            (
                ("Mixed_7a", (_TO_COARSE, "max, halving")),
                ("Mixed_7b", (_COARSE, "mean")),
                ("Mixed_7c", (_COARSE, "max")),
                ("mean", nn.AdaptiveAvgPool2d(1)),
            ),
        )
        width = 3
        for name, parts in zip(self.layers, plan, strict=True):
            block = nn.Sequential()
            for part, what in parts:
                if isinstance(what, nn.Module):
                    block.add_module(part, what)
                    continue
                module = _BasicConv(width, what) if isinstance(what, _Conv) else _Mixed(width, *what)  # type: ignore[misc]
                block.add_module(part, module)
                width = module.width
            self.add_module(name, block)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 299, 299) to (n, 2048, 1, 1)."""
        for name in self.layers:
            images = self.get_submodule(name)(images)
        return images
