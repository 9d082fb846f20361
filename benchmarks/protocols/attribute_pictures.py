"""Pictures with seven binary attributes, and much else about them that is left to chance."""

from __future__ import annotations

import numpy as np
from PIL import Image

ATTRIBUTES = ("bright", "contrast", "warm", "upright", "fine", "noisy", "crowded")
SIZE_PX = 96


PARTNER = (1, 0, 3, 2, 5, 4, 0)
"""With which other attribute each goes together, where they do."""


def bits(n_images: int, rng: np.random.Generator, correlation: float = 0.0) -> np.ndarray:
    """(n_images, 7) of 0 and 1, each as often; attributes 0 and 1, 2 and 3, 4 and 5 go together by that much."""
    drawn = rng.integers(0, 2, (n_images, len(ATTRIBUTES)))
    for first in (0, 2, 4):
        together = rng.random(n_images) < correlation
        drawn[together, first + 1] = drawn[together, first]
    return drawn


def picture(on: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(96, 96, 3) levels: stripes with discs in front, of which phase, positions, sizes and hue are random."""
    bright, contrast, warm, upright, fine, noisy, crowded = on
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] / SIZE_PX
    angle = (np.pi / 2 if upright else 0.0) + rng.normal(0, 0.2)
    wavelength = (0.07 if fine else 0.16) * rng.uniform(0.8, 1.25)
    along = x * np.sin(angle) + y * np.cos(angle)
    stripes = np.sin(2 * np.pi * (along / wavelength + rng.random()))
    amplitude = (0.22 if contrast else 0.12) * rng.uniform(0.7, 1.4)
    level = (0.56 if bright else 0.44) + rng.normal(0, 0.06)
    tint = np.array([1.0, 0.0, -1.0]) * (0.05 if warm else -0.05) + rng.normal(0, 0.03, 3)
    rgb = level + amplitude * stripes[..., None] + tint
    for _ in range(6 if crowded else 1):
        # Six small discs cover as much as a large one.
        radius, (top, left) = rng.uniform(0.2, 0.3) / (6**0.5 if crowded else 1), rng.uniform(0.2, 0.8, 2)
        rgb[np.hypot(x - left, y - top) < radius] = level + rng.choice([-0.3, 0.3]) + tint
    # Every picture has some grain, noisy ones have more.
    rgb += rng.normal(0, 0.06 if noisy else 0.025, rgb.shape)
    return (rgb * 255).clip(0, 255).astype(np.uint8)


def sheet(seed: int = 0) -> Image.Image:
    """For each attribute a row: four pictures without it and four with it."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(len(ATTRIBUTES)):
        drawn = bits(8, rng)
        drawn[:4, index], drawn[4:, index] = 0, 1
        rows.append(np.hstack([picture(on, rng) for on in drawn]))
    return Image.fromarray(np.vstack(rows))
