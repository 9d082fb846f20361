"""The architecture of the embedded extractor: a residual net of five stages, without normalisation layers.

Batch normalisation is folded into the convolutions before the weights are shipped, so activations depend on their
image alone, in training mode too.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

WIDTHS = (24, 32, 64, 96, 128)
"""Channels of the stages; every one but the first halves the height and the width."""

CELL_PX = 16
"""Height and width of the square of the image that an averaged activation covers."""


class FormulaNet(nn.Module):
    """A strided stem and five residual stages of one block each: 0.5 M weights."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, stride=2, padding=1)
        previous = widths[0]
        for index, width in enumerate(widths, start=1):
            self.add_module(f"stage{index}", Stage(previous, width, halve=index > 1, cell=CELL_PX >> index))
            previous = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) to (n, 128, h/32, w/32)."""
        return self.stages(images)[-1]

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of the stages, the first at half the height and width."""
        x, outputs = torch.relu(self.stem(images)), []
        for name, stage in self.named_children():
            if name.startswith("stage"):
                x = stage(x)
                outputs.append(x)
        return outputs


class Stage(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    What can be tapped: `inner` between the convolutions and the stage itself; and both averaged over squares of
    `cell` positions, which are `between` and `after`. The last stage, whose positions are coarser, has no averages.
    """

    def __init__(self, width_in: int, width: int, *, halve: bool, cell: int) -> None:
        super().__init__()
        self.halve = halve
        self.first = nn.Conv2d(width_in, width, 3, stride=2 if halve else 1, padding=1)
        self.inner = nn.ReLU()
        self.averages = cell > 0
        if self.averages:
            self.between, self.after = nn.AvgPool2d(cell), nn.AvgPool2d(cell)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width_in, width, 1) if width_in != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width_in, h, w) to (n, width, h, w), or half the height and width."""
        inner = self.inner(self.first(x))
        # Averaging first: a strided 1 x 1 convolution would look at a quarter of the pixels.
        shortcut = self.shortcut(F.avg_pool2d(x, 2, ceil_mode=True) if self.halve else x)
        outer = torch.relu(self.second(inner) + shortcut)
        if self.averages:
            # Only taps use these outputs.
            self.between(inner)
            self.after(outer)
        return outer
