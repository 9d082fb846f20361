"""Dead leaves: shapes that fall on one another until the ground is covered (Matheron; Lee et al., IJCV 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from training.formulas.fields import FIELD_PX, Field


@dataclass(frozen=True)
class DeadLeaves:
    """Discs, ellipses, rectangles and triangles with a power law of sizes; flat, shaded or with an edge."""

    n_classes: int
    name: str = "dead leaves"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """Shape, sizes, elongation and shading belong to the class."""
        shape, shading = int(cls.integers(0, 3)), int(cls.integers(0, 3))
        small = cls.uniform(1.5, 5)
        large = small * cls.uniform(1.5, 8)
        power, flat = cls.uniform(1.2, 3.2), cls.uniform(0.25, 1.0)
        spread = cls.uniform(0.1, 1.0)
        fields = []
        for _ in range(n_images):
            seed, direction = int(rng.integers(2**31)), rng.uniform(0, np.pi)
            fields.append(_fall(seed, shape, shading, small, large, power, flat, direction, spread))
        return fields


@nb.njit(cache=True)
def _fall(
    seed: int, shape: int, shading: int, small: float, large: float,
    power: float, flat: float, direction: float, spread: float,
) -> np.ndarray:  # fmt: skip
    """Front to back, so that a pixel once covered stays as it is."""
    np.random.seed(seed)
    size = FIELD_PX
    canvas = np.zeros((size, size), np.float32)
    covered = np.zeros((size, size), np.bool_)
    left = size * size
    for _ in range(20_000):
        if left < 0.002 * size * size:
            break
        u = np.random.random()
        # Inverse of the power law between the two sizes.
        a, b = small ** (1 - power), large ** (1 - power)
        radius = (a + u * (b - a)) ** (1 / (1 - power))
        x0, y0 = np.random.random() * size, np.random.random() * size
        angle = direction + spread * np.pi * (np.random.random() - 0.5)
        tone, slope = np.random.random(), np.random.random() * 0.6 - 0.3
        c, s = np.cos(angle), np.sin(angle)
        for row in range(max(0, int(y0 - 1.5 * radius)), min(size, int(y0 + 1.5 * radius) + 1)):
            for col in range(max(0, int(x0 - 1.5 * radius)), min(size, int(x0 + 1.5 * radius) + 1)):
                if covered[row, col]:
                    continue
                x, y = ((col - x0) * c + (row - y0) * s) / radius, ((row - y0) * c - (col - x0) * s) / (radius * flat)
                if shape == 0:
                    depth = x * x + y * y
                elif shape == 1:
                    depth = max(abs(x), abs(y)) ** 2
                else:
                    depth = max(-y * 1.2, abs(x) * 1.4 + y * 0.7) ** 2
                if depth <= 1:
                    value = tone
                    if shading == 1:
                        value = tone + slope * x
                    elif shading == 2 and depth > 0.65:
                        value = 0.0
                    canvas[row, col] = value
                    covered[row, col] = True
                    left -= 1
    return canvas
