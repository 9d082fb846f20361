"""From stored fields to training images: crop, tone, colour, blur, light and noise, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812

from training.palettes import N_PALETTES, coloured, drawn_palettes

UNLABELLED = -100
"""The label that `cross_entropy` ignores."""

N_TRAITS = 8
"""Blur, noise, and the mean and spread of the three colours."""

_MAX_BLUR_PX, _MAX_NOISE, _REACH = 1.8, 0.12, 4


@dataclass(frozen=True)
class Views:
    """A batch of training images with their labels.

    Attributes:
        images: (n, 3, size, size) float32 in [0, 1].
        palette: (n,) label of the palette, or `UNLABELLED`.
        traits: (n, N_TRAITS) blur, noise, and the mean and spread of the colours.
    """

    images: torch.Tensor
    palette: torch.Tensor
    traits: torch.Tensor


def look(fields: torch.Tensor, palettes: torch.Tensor, size: int, generator: torch.Generator) -> Views:
    """Views of fields.

    Args:
        fields: (n, edge, edge) uint8.
        palettes: those with a label.
        size: height and width of the views in pixels.
        generator: of all random numbers; on the CPU, so that a seed gives one training on every device.
    """
    device, n = fields.device, len(fields)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=generator)

    cut = _cut(fields.float()[:, None] / 255, _affine_maps(draw(5), fields.shape[-1], size).to(device), size)[:, 0]
    gamma = torch.exp(1.2 * (draw(1, 1) - 0.5)).to(device)
    label, colours = _palettes(n, palettes, generator)
    images = coloured(cut.clamp(0, 1) ** gamma, colours.to(device))
    blur = _MAX_BLUR_PX * draw() * (draw() < 0.4)
    images = _blurred(images, blur.to(device))
    # Contrast about the middle, then light; with both, most images stay inside the range.
    contrast = torch.where(draw(1, 1, 1) < 0.5, 1.0, 0.5 + 0.8 * draw(1, 1, 1)).to(device)
    light = torch.where(draw(1, 1, 1) < 0.5, 0.0, 0.4 * draw(1, 1, 1) - 0.2).to(device)
    images = (images - 0.5) * contrast + 0.5 + light
    noise = _MAX_NOISE * draw() ** 2 * (draw() < 0.4)
    grain = torch.randn(images.shape, generator=generator).to(device)
    images = (images + noise.to(device)[:, None, None, None] * grain).clamp(0, 1)
    traits = torch.cat(
        [
            (blur / _MAX_BLUR_PX)[:, None].to(device),
            (noise / _MAX_NOISE).sqrt()[:, None].to(device),
            2 * images.mean((2, 3)),
            4 * images.std((2, 3)),
        ],
        dim=1,
    )
    return Views(images, label.to(device), traits)


def _affine_maps(drawn: torch.Tensor, edge: int, size: int) -> torch.Tensor:
    """(n, 2, 3) affine maps: rotated by up to 30 degrees, mirrored, 0.75 to 1.35 times the size, moved."""
    angle = (drawn[:, 0] - 0.5) * (torch.pi / 3)
    step = torch.exp(torch.log(torch.tensor(0.75)) + drawn[:, 1] * torch.log(torch.tensor(1.35 / 0.75)))
    zoom = step * size / edge
    mirror = torch.where(drawn[:, 2] < 0.5, -1.0, 1.0)
    room = (1 - zoom).clamp(min=0.1) * 0.7
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    across = torch.stack([cos * mirror, -sin, (2 * drawn[:, 3] - 1) * room], 1)
    down = torch.stack([sin * mirror, cos, (2 * drawn[:, 4] - 1) * room], 1)
    return torch.stack([across, down], 1)


def _cut(fields: torch.Tensor, maps: torch.Tensor, size: int) -> torch.Tensor:
    grid = F.affine_grid(maps, [len(fields), 1, size, size], align_corners=False)
    return F.grid_sample(fields, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _palettes(n: int, palettes: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """About half of the images get a palette with a label, slightly changed; the others one of their own."""
    label = torch.randint(N_PALETTES, (n,), generator=generator)
    # A tenth in grey, for any number of palettes.
    label = torch.where(torch.rand(n, generator=generator) < 0.1, 0, label)
    moved = (
        palettes[label] + 0.04 * torch.randn(n, *palettes.shape[1:], generator=generator) * (label > 0)[:, None, None]
    )
    own = torch.rand(n, generator=generator) < 0.45
    colours = torch.where(own[:, None, None], drawn_palettes(n, generator), moved).clamp(0, 1)
    return torch.where(own, UNLABELLED, label), colours


def _blurred(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian blur with a strength for each image; the kernel reaches 4 px."""
    blurred = sigma > 0.05
    if not bool(blurred.any()):
        return images
    at = torch.arange(-_REACH, _REACH + 1, device=images.device)
    kernels = torch.exp(-0.5 * (at[None] / sigma[blurred, None]) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    x = images[blurred]
    for axis in (2, 3):
        pad = (0, 0, _REACH, _REACH) if axis == 2 else (_REACH, _REACH, 0, 0)
        wide, size = F.pad(x, pad, mode="reflect"), x.shape[axis]
        x = torch.zeros_like(x)
        for k in range(len(at)):
            x += kernels[:, k, None, None, None] * wide.narrow(axis, k, size)
    out = images.clone()
    out[blurred] = x
    return out
