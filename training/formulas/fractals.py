"""Attractors of iterated function systems, as in FractalDB (Kataoka et al., ACCV 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np

from training.formulas.fields import FIELD_PX, Field

_N_POINTS = 30_000


@dataclass(frozen=True)
class Fractals:
    """Two to six affine maps, drawn as the density of the chaos game."""

    n_classes: int
    name: str = "fractals"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """The weights of the maps jitter by up to a seventh (FractalDB's instances)."""
        maps = _filling_system(cls)
        return [_render(maps * rng.uniform(0.85, 1.15, maps.shape), rng) for _ in range(n_images)]


def _filling_system(cls: np.random.Generator) -> np.ndarray:
    """(n, 6) maps x' = ax + by + e, y' = cx + dy + f whose attractor covers enough of the image."""
    while True:
        maps = cls.uniform(-1, 1, (int(cls.integers(2, 7)), 6))
        linear = maps[:, :4].reshape(-1, 2, 2)
        norms = np.linalg.norm(linear, 2, axis=(1, 2))
        # Contractions only, and not so weak that single points remain.
        linear *= (cls.uniform(0.45, 0.9, len(maps)) / norms)[:, None, None]
        maps[:, :4] = linear.reshape(-1, 4)
        picture = _render(maps, np.random.default_rng(0))
        if (picture > 0).mean() > 0.15:
            return maps


def _render(maps: np.ndarray, rng: np.random.Generator) -> Field:
    weights = np.abs(maps[:, 0] * maps[:, 3] - maps[:, 1] * maps[:, 2]) + 0.05
    choice = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(_N_POINTS), side="right")
    points = _orbit(maps, choice)[:, 50:]
    # Outliers would make the rest small.
    low, high = np.sort(points[:, ::10], axis=1)[:, [15, -15]].T
    span = max(float((high - low).max()), 1e-6)
    cells = ((points - ((low + high) / 2)[:, None]) / span * 0.93 + 0.5) * FIELD_PX
    inside = ((cells >= 0) & (cells < FIELD_PX)).all(0)
    column, row = cells[:, inside].astype(np.int64)
    counts = np.bincount(row * FIELD_PX + column, minlength=FIELD_PX**2)
    return np.log1p(counts).reshape(FIELD_PX, FIELD_PX).astype(np.float32)


@nb.njit(cache=True)
def _orbit(maps: np.ndarray, choice: np.ndarray) -> np.ndarray:
    points = np.empty((2, len(choice)))
    x = y = 0.0
    for i in range(choice.size):
        m = maps[choice[i]]
        x, y = m[0] * x + m[1] * y + m[4], m[2] * x + m[3] * y + m[5]
        # A jittered map may expand a little; points that diverge restart.
        if not (math.fabs(x) < 1e3 and math.fabs(y) < 1e3):
            x = y = 0.0
        points[0, i], points[1, i] = x, y
    return points
