"""Cellular textures: distances to scattered points (Worley, SIGGRAPH 1996)."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from training.formulas.fields import FIELD_PX, Field


@dataclass(frozen=True)
class Voronoi:
    """The nearest distance, the gap to the second one, their product, or a flat tone for each cell."""

    n_classes: int
    name: str = "voronoi"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """Density, regularity, metric and what is drawn belong to the class."""
        mode, norm = int(cls.integers(0, 4)), float(cls.choice([1.0, 2.0, 8.0]))
        spacing = cls.uniform(7, 30)
        order, stretch = cls.uniform(0, 0.95), cls.uniform(0.4, 1.0)
        fields = []
        for _ in range(n_images):
            step = spacing * rng.uniform(0.85, 1.15)
            n = int(np.ceil(1.6 * FIELD_PX / step)) + 2
            grid = np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) - n / 2
            grid[:, 0] += 0.5 * (grid[:, 1] % 2)
            points = (grid + (1 - order) * rng.uniform(-1, 1, grid.shape)) * step
            fields.append(_cells(points, rng.random(len(points)), mode, norm, stretch, rng.uniform(0, np.pi)))
        return fields


@nb.njit(cache=True)
def _cells(points: np.ndarray, tones: np.ndarray, mode: int, norm: float, stretch: float, angle: float) -> np.ndarray:
    size = FIELD_PX
    canvas = np.empty((size, size), np.float32)
    c, s = np.cos(angle), np.sin(angle)
    for row in range(size):
        for col in range(size):
            x, y = col - size / 2, row - size / 2
            x, y = x * c - y * s, (x * s + y * c) * stretch
            first = second = 1e9
            nearest = 0
            for i in range(len(points)):
                dx, dy = abs(points[i, 0] - x), abs(points[i, 1] - y)
                if norm == 1.0:
                    d = dx + dy
                elif norm == 2.0:
                    d = np.sqrt(dx * dx + dy * dy)
                else:
                    d = max(dx, dy)
                if d < first:
                    first, second, nearest = d, first, i
                elif d < second:
                    second = d
            if mode == 0:
                value = first
            elif mode == 1:
                value = min(second - first, 6.0)
            elif mode == 2:
                value = first * second
            else:
                value = tones[nearest]
            canvas[row, col] = value
    return canvas
