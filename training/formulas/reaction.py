"""Reaction and diffusion: the Gray-Scott model (Pearson, Science 1993)."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from training.formulas.fields import FIELD_PX, Field

_REGIMES = (
    (0.022, 0.051), (0.026, 0.055), (0.030, 0.057), (0.030, 0.0625), (0.034, 0.0618), (0.037, 0.060),
    (0.039, 0.058), (0.042, 0.059), (0.046, 0.063), (0.050, 0.062), (0.054, 0.063), (0.025, 0.060),
    (0.029, 0.055), (0.058, 0.0625), (0.034, 0.056), (0.046, 0.0594),
)  # fmt: skip
"""Feed and kill rates that leave a pattern: spots, worms, mazes, holes."""

_SHOTS = 3
"""Moments at which one run is drawn; each is also rolled, mirrored and transposed."""


@dataclass(frozen=True)
class ReactionDiffusion:
    """Spots, worms and mazes that grow out of noise."""

    n_classes: int
    name: str = "reaction"

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """The two rates and how long the pattern grows belong to the class."""
        feed, kill = _REGIMES[int(cls.integers(len(_REGIMES)))]
        scale = cls.uniform(0.55, 1.0)
        shots: list[Field] = []
        # A run is expensive, and its moments, mirrored and rolled, make several images.
        n_runs = -(-n_images // (6 * _SHOTS))
        for _ in range(n_runs):
            u = np.ones((FIELD_PX, FIELD_PX), np.float32)
            v = np.zeros_like(u)
            for _ in range(40):
                row, col = rng.integers(0, FIELD_PX - 6, 2)
                u[row : row + 6, col : col + 6], v[row : row + 6, col : col + 6] = 0.5, 0.25
            v += rng.uniform(0, 0.02, v.shape).astype(np.float32)
            for shot in range(_SHOTS):
                u, v = _react(u, v, feed, kill, scale, 1600 if shot == 0 else 300)
                shots.append(v - 0.3 * u)
        return [_turned(shots[i % len(shots)], rng) for i in range(n_images)]


def _turned(field: Field, rng: np.random.Generator) -> Field:
    rolled = np.roll(field, tuple(rng.integers(0, FIELD_PX, 2)), (0, 1))
    return np.ascontiguousarray(np.rot90(rolled, int(rng.integers(4)))[:: 1 if rng.random() < 0.5 else -1])


@nb.njit(cache=True, fastmath=True)
def _react(
    u: np.ndarray, v: np.ndarray, feed: float, kill: float, scale: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Explicit steps on a torus; `scale` is the diffusion, and with it the size of what grows."""
    size = u.shape[0]
    du, dv, f, k = np.float32(0.2097 * scale), np.float32(0.105 * scale), np.float32(feed), np.float32(kill)
    one, four = np.float32(1), np.float32(4)
    a, b = np.empty_like(u), np.empty_like(v)
    for _ in range(steps):
        for row in range(size):
            up, down = (row - 1) % size, (row + 1) % size
            for col in range(size):
                left, right = col - 1 if col else size - 1, col + 1 if col + 1 < size else 0
                uu, vv = u[row, col], v[row, col]
                lu = u[up, col] + u[down, col] + u[row, left] + u[row, right] - four * uu
                lv = v[up, col] + v[down, col] + v[row, left] + v[row, right] - four * vv
                rate = uu * vv * vv
                a[row, col] = uu + du * lu - rate + f * (one - uu)
                b[row, col] = vv + dv * lv + rate - (f + k) * vv
        u, a = a, u
        v, b = b, v
    return u, v
