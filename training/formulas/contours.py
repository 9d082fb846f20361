"""Radial contours: nested deformed polygons, as in RCDB (Kataoka et al., CVPR 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from training.formulas.fields import FIELD_PX, Field


@dataclass(frozen=True)
class Contours:
    """Several objects, each of nested closed lines around one centre."""

    n_classes: int
    name: str = "contours"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """The number of corners, of lines and their roughness belong to the class."""
        corners = int(cls.integers(3, 24))
        n_lines, n_objects = int(cls.integers(3, 16)), int(cls.integers(1, 7))
        roughness, waves = cls.uniform(0, 0.35), int(cls.integers(2, 10))
        stretch, depth = cls.uniform(0.45, 1.0), cls.uniform(0, 0.35)
        filled = bool(cls.random() < 0.3)
        fields = []
        for _ in range(n_images):
            canvas = np.zeros((FIELD_PX, FIELD_PX), np.float32)
            for _ in range(n_objects):
                centre = FIELD_PX / 2 if n_objects == 1 else rng.uniform(0.15, 0.85, 2) * FIELD_PX
                largest = FIELD_PX * rng.uniform(0.38, 0.5) / max(1, n_objects) ** 0.4
                angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
                bumps = 1 + roughness * rng.normal(size=corners) + depth * np.sin(waves * angle)
                tilt = rng.uniform(0, np.pi)
                for line in range(1, n_lines + 1):
                    wobble = 1 + 0.3 * roughness * rng.normal(size=corners)
                    radius = largest * line / n_lines * bumps * wobble
                    ellipse = np.stack([np.cos(angle) * radius, np.sin(angle) * radius * stretch])
                    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
                    points = (turn @ ellipse).T + centre
                    _polygon(canvas, np.vstack([points, points[:1]]), 1.0 - 0.5 * line / n_lines, filled)
            fields.append(canvas)
        return fields


@nb.njit(cache=True)
def _polygon(canvas: np.ndarray, points: np.ndarray, tone: float, filled: bool) -> None:
    """Draw a closed line with soft pixels; where `filled`, lay a veil of dots over every third pixel too."""
    size = canvas.shape[0]
    for i in range(len(points) - 1):
        x0, y0 = points[i]
        x1, y1 = points[i + 1]
        steps = int(max(abs(x1 - x0), abs(y1 - y0)) * 1.5) + 1
        for s in range(steps):
            x, y = x0 + (x1 - x0) * s / steps, y0 + (y1 - y0) * s / steps
            c, r = int(np.floor(x)), int(np.floor(y))
            for dr in range(2):
                for dc in range(2):
                    rr, cc = r + dr, c + dc
                    if 0 <= rr < size and 0 <= cc < size:
                        cover = tone * (1 - abs(x - cc)) * (1 - abs(y - rr)) * 1.6
                        canvas[rr, cc] = max(canvas[rr, cc], cover)
            if filled and s % 3 == 0:
                c, r = int(x * 0.9 + size * 0.05), int(y * 0.9 + size * 0.05)
                if 0 <= r < size and 0 <= c < size:
                    canvas[r, c] = tone
