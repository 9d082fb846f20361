"""Colours for grey fields: palettes that are classes of their own, and palettes drawn for a single image."""

from __future__ import annotations

import torch

N_PALETTES = 48
"""Palettes with a label; the first is grey."""

_N_CONTROLS = 4
_N_LEVELS = 256


def labelled_palettes(seed: int) -> torch.Tensor:
    """(N_PALETTES, 4, 3) control colours in [0, 1], from dark end to light end."""
    generator = torch.Generator().manual_seed(seed)
    palettes = drawn_palettes(N_PALETTES, generator)
    palettes[0] = torch.linspace(0.05, 0.95, _N_CONTROLS)[:, None]
    return palettes


def drawn_palettes(n: int, generator: torch.Generator) -> torch.Tensor:
    """(n, 4, 3) control colours: a random walk through the cube, more or less saturated, never flat."""
    colours = torch.rand(n, _N_CONTROLS, 3, generator=generator)
    grey = colours.mean(2, keepdim=True)
    saturation = torch.rand(n, 1, 1, generator=generator).sqrt() * 1.4
    colours = (grey + saturation * (colours - grey)).clamp(0, 1)
    # Mixed with a ramp of rising or falling lightness, so that neighbouring controls differ.
    ramp = torch.linspace(0, 1, _N_CONTROLS)[None, :, None]
    ramp = torch.where(torch.rand(n, 1, 1, generator=generator) < 0.5, ramp, 1 - ramp)
    share = 0.2 + 0.5 * torch.rand(n, 1, 1, generator=generator)
    return (1 - share) * colours + share * ramp


def coloured(fields: torch.Tensor, palettes: torch.Tensor) -> torch.Tensor:
    """(n, h, w) fields in [0, 1] and (n, 4, 3) palettes to (n, 3, h, w) images in [0, 1]."""
    at = torch.linspace(0, _N_CONTROLS - 1, _N_LEVELS, device=fields.device)
    controls = torch.arange(_N_CONTROLS, device=fields.device)
    weights = (1 - (at[:, None] - controls[None]).abs()).clamp(min=0)
    tables = torch.einsum("lc,ncd->ndl", weights, palettes)
    n, height, width = fields.shape
    index = (fields.clamp(0, 1) * (_N_LEVELS - 1)).round().long().reshape(n, 1, -1)
    return tables.gather(2, index.expand(-1, 3, -1)).reshape(n, 3, height, width)
