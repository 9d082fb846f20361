"""Ten procedural families that the embedded extractor was not trained on, coloured grey or by random palettes.

The training families are attractors of iterated maps, radial contours, dead leaves, cellular distances, reaction and
diffusion, and sums of plane waves. None of these draws any of them: no formula, generator or parameter is shared
(nothing is imported from `training`), and each gets its look from a different mechanism: a discrete rule (automaton,
cyclic, maze), equilibrium statistics (ising), a tiling (truchet, bricks, weave), scattered strokes (needles), noise
that is transported (streaks) or folded into itself (marble). They are held out: the plan of the training was fixed
without looking at them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

PX = 96
Field = np.ndarray


def automaton(rng: np.random.Generator) -> Field:
    """The history of an elementary cellular automaton (chaotic or complex), from random first rows."""
    rule, cell = int(rng.choice([30, 45, 110])), int(rng.integers(2, 4))
    n = PX // cell + 2
    rows = [rng.integers(0, 2, n)]
    for _ in range(2 * n):
        last = rows[-1]
        rows.append((rule >> (4 * np.roll(last, 1) + 2 * last + np.roll(last, -1))) & 1)
    return _enlarged(np.array(rows[-n:]), cell)


def cyclic(rng: np.random.Generator) -> Field:
    """A cyclic cellular automaton: waves and spirals of states that eat one another."""
    n_states = int(rng.integers(7, 13))
    state = rng.integers(0, n_states, (PX, PX))
    for _ in range(int(rng.integers(90, 180))):
        eater = (state + 1) % n_states
        eaten = np.zeros(state.shape, bool)
        for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
            eaten |= np.roll(state, shift, axis) == eater
        state = np.where(eaten, eater, state)
    return np.cos(2 * np.pi * state / n_states)


def maze(rng: np.random.Generator) -> Field:
    """Walls of a perfect maze, drawn by a random depth-first walk."""
    cell = int(rng.integers(5, 9))
    n = PX // cell + 1
    walls = np.ones((2 * n + 1, 2 * n + 1))
    seen, path = np.zeros((n, n), bool), [(0, 0)]
    seen[0, 0], walls[1, 1] = True, 0
    while path:
        row, col = path[-1]
        steps = [(r, c) for r, c in ((row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1))
                 if 0 <= r < n and 0 <= c < n and not seen[r, c]]  # fmt: skip
        if not steps:
            path.pop()
            continue
        r, c = steps[int(rng.integers(len(steps)))]
        seen[r, c], walls[2 * r + 1, 2 * c + 1], walls[row + r + 1, col + c + 1] = True, 0, 0
        path.append((r, c))
    return _enlarged(walls, (cell + 1) // 2)


def ising(rng: np.random.Generator) -> Field:
    """Spins near the critical temperature: ragged domains of all sizes."""
    spins = rng.choice([-1, 1], (PX, PX))
    beta = 0.44 * rng.uniform(0.93, 1.02)
    checker = np.indices(spins.shape).sum(0) % 2
    for sweep in range(160):
        around = sum(np.roll(spins, shift, axis) for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)))
        flips = (rng.random(spins.shape) < 1 / (1 + np.exp(2 * beta * spins * around))) & (checker == sweep % 2)
        spins = np.where(flips, -spins, spins)
    return spins.astype(float)


def truchet(rng: np.random.Generator) -> Field:
    """Tiles of two quarter arcs each, turned at random."""
    tile = int(rng.integers(12, 21))
    y, x = np.mgrid[:tile, :tile] + 0.5
    radius, width = tile / 2, tile * rng.uniform(0.08, 0.14)
    arcs = np.minimum(np.abs(np.hypot(x, y) - radius), np.abs(np.hypot(tile - x, tile - y) - radius))
    drawn = np.clip(width - arcs + 0.5, 0, 1)
    n = PX // tile + 2
    rows = [np.hstack([drawn[:, ::-1] if rng.random() < 0.5 else drawn for _ in range(n)]) for _ in range(n)]
    return _moved(np.vstack(rows), rng)


def bricks(rng: np.random.Generator) -> Field:
    """Courses of bricks with mortar between, every brick of its own tone."""
    height = int(rng.integers(8, 15))
    width = int(height * rng.uniform(1.8, 2.6))
    n_rows, n_cols = PX // height + 3, PX // width + 3
    y, x = np.mgrid[: n_rows * height, : n_cols * width]
    row = y // height
    across = (x + (row % 2) * (width // 2)) % (n_cols * width)
    tone = 0.55 + 0.35 * rng.random((n_rows, n_cols))
    mortar = (y % height < 2) | (across % width < 2)
    return _moved(np.where(mortar, 0.0, tone[row, across // width]), rng)


def weave(rng: np.random.Generator) -> Field:
    """Threads over and under one another, rounded by light."""
    thread, twill = int(rng.integers(5, 10)), int(rng.integers(1, 3))
    y, x = np.mgrid[: 2 * PX, : 2 * PX]
    row, col = y // thread, x // thread
    over = (row + col) % (2 * twill) < twill
    along, across = np.sin(np.pi * ((y % thread) + 0.5) / thread), np.sin(np.pi * ((x % thread) + 0.5) / thread)
    warp, weft = 0.5 + 0.5 * rng.random(2 * PX // thread + 1), 0.4 + 0.4 * rng.random(2 * PX // thread + 1)
    return _moved(np.where(over, along * weft[row], across * warp[col]), rng)


def needles(rng: np.random.Generator) -> Field:
    """Straight strokes of one length, scattered at all angles."""
    length, n = rng.uniform(14, 30), int(rng.integers(70, 130))
    y, x = np.mgrid[:PX, :PX]
    drawn = np.zeros((PX, PX))
    for _ in range(n):
        angle, (row, col) = rng.uniform(0, np.pi), rng.uniform(-8, PX + 8, 2)
        along = (x - col) * np.cos(angle) + (y - row) * np.sin(angle)
        off = np.hypot(
            np.clip(np.abs(along) - length / 2, 0, None), (y - row) * np.cos(angle) - (x - col) * np.sin(angle)
        )
        drawn = np.maximum(drawn, rng.uniform(0.5, 1) * np.clip(1.6 - off, 0, 1))
    return drawn


def streaks(rng: np.random.Generator) -> Field:
    """White noise smeared along the lines of a smooth flow (line integral convolution)."""
    noise = rng.random((PX, PX))
    angle = 2 * np.pi * ndimage.gaussian_filter(rng.normal(size=(PX, PX)), 18, mode="wrap") * 12
    vy, vx = np.sin(angle), np.cos(angle)
    total = np.zeros((PX, PX))
    for sign in (-1, 1):
        row, col = np.mgrid[:PX, :PX].astype(float)
        for _ in range(int(rng.integers(8, 14))):
            r, c = row.round().astype(int) % PX, col.round().astype(int) % PX
            total += noise[r, c]
            row, col = row + sign * vy[r, c], col + sign * vx[r, c]
    return total


def marble(rng: np.random.Generator) -> Field:
    """Noise of all octaves, read at positions that noise has shifted (turbulence)."""

    def octaves(largest: float) -> Field:
        return sum(largest * 0.55**k * _unit(ndimage.gaussian_filter(rng.normal(size=(PX, PX)), 14 / 2**k, mode="wrap"))
                   for k in range(5))  # fmt: skip

    row, col = np.mgrid[:PX, :PX] + 7 * np.stack([octaves(1), octaves(1)])
    folded = ndimage.map_coordinates(octaves(1), [row, col], order=1, mode="grid-wrap")
    return np.abs(folded)


FAMILIES: dict[str, Callable[[np.random.Generator], Field]] = {
    family.__name__: family
    for family in (automaton, cyclic, maze, ising, truchet, bricks, weave, needles, streaks, marble)
}


def draw(family: str, n: int, seed: int, *, palettes: bool) -> np.ndarray:
    """(n, PX, PX, 3) uint8 images; grey values are ranks, so that no two families differ in their brightness.

    Args:
        family: one of `FAMILIES`.
        n: how many images.
        seed: of everything drawn.
        palettes: colour every image by a palette of its own.
    """
    rng = np.random.default_rng([seed, list(FAMILIES).index(family), int(palettes)])
    images = []
    for _ in range(n):
        # A little blur gives two-valued fields greys to rank; it is the same for all.
        field = ndimage.gaussian_filter(np.asarray(FAMILIES[family](rng), float), 0.6)
        ranks = field.ravel().argsort(kind="stable").argsort(kind="stable").reshape(PX, PX) / (PX * PX - 1)
        ranks = _tied(field, ranks)
        images.append(_palette(ranks, rng) if palettes else np.repeat(ranks[..., None], 3, 2))
    return np.rint(255 * np.stack(images)).astype(np.uint8)


def _palette(grey: Field, rng: np.random.Generator) -> np.ndarray:
    """Three smooth curves from grey to colour, drawn for one image."""
    knots = np.linspace(0, 1, 5)
    colours = rng.random((5, 3))
    # Ends far apart in light, one way or the other, so that something of the texture is left.
    light = np.linspace(0.1, 0.9, 5) if rng.random() < 0.5 else np.linspace(0.9, 0.1, 5)
    colours = 0.5 * colours + 0.5 * light[:, None]
    return np.stack([np.interp(grey, knots, colours[:, k]) for k in range(3)], 2)


def _tied(field: Field, ranks: Field) -> Field:
    """Equal values get their mean rank."""
    _, inverse = np.unique(field.round(9), return_inverse=True)
    inverse = inverse.ravel()
    return (np.bincount(inverse, ranks.ravel()) / np.bincount(inverse))[inverse].reshape(field.shape)


def _unit(field: Field) -> Field:
    return (field - field.mean()) / field.std()


def _enlarged(cells: np.ndarray, factor: int) -> Field:
    return np.kron(cells, np.ones((factor, factor)))[:PX, :PX].astype(float)


def _moved(field: np.ndarray, rng: np.random.Generator) -> Field:
    row, col = rng.integers(0, field.shape[0] - PX + 1), rng.integers(0, field.shape[1] - PX + 1)
    return field[row : row + PX, col : col + PX]
