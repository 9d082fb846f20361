"""ResNet-50 and VGG-16, with submodules named like the layers of the reference implementation."""

from __future__ import annotations

import torch
from torch import nn


class Bottleneck(nn.Module):
    """Three convolutions with a shortcut around them; the middle one has the stride."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride != 1 or width_in != 4 * width:
            projection = nn.Conv2d(width_in, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width_in, h, w) to (n, 4 * width, h / stride, w / stride)."""
        out = self.bn1(self.conv1(x)).relu_()
        out = self.bn2(self.conv2(out)).relu_()
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = out.relu_()
        return result


class ResNet50(nn.Module):
    """16 bottlenecks in four stages: `layer1_0` to `layer4_2`."""

    depths = (3, 4, 6, 3)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1, self.maxpool = nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, padding=1)
        width_in = 64
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                stride = 2 if stage and index == 0 else 1
                self.add_module(f"layer{stage + 1}_{index}", Bottleneck(width_in, 64 << stage, stride))
                width_in = 4 * (64 << stage)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, which are those of the reference."""
        return tuple(f"layer{stage}_{index}" for stage, depth in enumerate(self.depths, 1) for index in range(depth))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) to (n, 2048, h / 32, w / 32)."""
        x: torch.Tensor = self.maxpool(self.bn1(self.conv1(images)).relu_())
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return x


class Vgg16(nn.Module):
    """13 convolutions with ReLUs: `relu_1_1` to `relu_5_3`. The first of every group but the first pools its input."""

    widths = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

    def __init__(self) -> None:
        super().__init__()
        width_in = 3
        for group, (width, depth) in enumerate(self.widths, 1):
            for index in range(1, depth + 1):
                parts = nn.Sequential()
                if group > 1 and index == 1:
                    parts.add_module("pool", nn.MaxPool2d(2))
                parts.add_module("conv", nn.Conv2d(width_in, width, 3, padding=1))
                parts.add_module("relu", nn.ReLU(inplace=True))
                self.add_module(f"relu_{group}_{index}", parts)
                width_in = width

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers, which are those of the reference."""
        return tuple(
            f"relu_{group}_{index}" for group, (_, depth) in enumerate(self.widths, 1) for index in range(1, depth + 1)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) to (n, 512, h / 16, w / 16)."""
        for name in self.layers:
            images = self.get_submodule(name)(images)
        return images
