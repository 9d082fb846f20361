"""Plane waves: a few of them added, with sharp or soft crests, as in VisualAtom's orbits on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.formulas.fields import FIELD_PX, Field


@dataclass(frozen=True)
class PlaneWaves:
    """One to eight waves of neighbouring lengths and directions."""

    n_classes: int
    name: str = "waves"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """Lengths, directions between waves, their crests and a bend belong to the class."""
        n = int(cls.integers(1, 9))
        length = np.exp(cls.uniform(np.log(4), np.log(32))) * np.exp(cls.normal(0, 0.25, n))
        direction = cls.uniform(0, np.pi, n)
        height, crest = cls.uniform(0.4, 1, n), int(cls.integers(0, 4))
        bend, mixing = cls.uniform(0, 3), bool(cls.random() < 0.5)
        y, x = np.mgrid[:FIELD_PX, :FIELD_PX].astype(np.float32)
        fields = []
        for _ in range(n_images):
            turn = rng.uniform(-0.4, 0.4)
            centre, ring = rng.uniform(0, FIELD_PX, 2), rng.uniform(20, 60)
            warp = bend * np.sin(np.hypot(x - centre[0], y - centre[1]) / ring * 2 * np.pi)
            total = np.zeros_like(x) if mixing else np.full_like(x, -9)
            for k in range(n):
                angle = direction[k] + turn + rng.normal(0, 0.08)
                wave_length = length[k] * rng.uniform(0.88, 1.12)
                phase = (x * np.cos(angle) + y * np.sin(angle) + warp) / wave_length + rng.random()
                wave = height[k] * _crest(phase, crest)
                total = total + wave if mixing else np.maximum(total, wave)
            fields.append(total.astype(np.float32))
        return fields


def _crest(phase: Field, kind: int) -> Field:
    """A wave of period 1 in [-1, 1]: sine, triangle, soft square, or a sine's sharp ridge."""
    if kind == 1:
        return 4 * np.abs(phase % 1 - 0.5) - 1
    sine = np.sin(2 * np.pi * phase)
    if kind == 2:
        return np.tanh(4 * sine)
    return 1 - 2 * np.abs(sine) if kind == 3 else sine
