"""Distances less what chance makes of them: ours as `dna compare` debiases, and FD in the same way and its own."""

from __future__ import annotations

import numpy as np

from benchmarks.protocols.feature_distances import Rows, bell
from dna_pipelines.comparison import fd
from dna_pipelines.comparison.permutation import permute, permuted_distances, units_of
from dna_pipelines.distributions import Covariance
from dna_pipelines.identity import N_BLOCKS

N_DEALS, N_DEALS_FD, N_SHARES = 50, 10, 5

Blocks = tuple[np.ndarray, np.ndarray]
"""Counts (n_neurons, N_BLOCKS, COARSE_BINS) and images in each block."""


def by_turns(n_images: int) -> np.ndarray:
    """The blocks of images that lie in a random order."""
    return np.arange(n_images) % N_BLOCKS


def emd_less_floor(a: Blocks, b: Blocks, rng: np.random.Generator) -> float:
    """The mean EMD in coarse bins, less its mean over `N_DEALS` deals of the blocks of both sides."""
    units = units_of(a[1], b[1])
    dealt = permuted_distances(a[0], b[0], units, permute(units, N_DEALS, rng)).mean(axis=1)
    return float(dealt[0] - dealt[1:].mean())


def fd_less_floor(a: Rows, b: Rows, rng: np.random.Generator) -> float:
    """FD less its mean over `N_DEALS_FD` deals of the same blocks; there are as many images on each side."""
    blocks = by_turns(len(a))
    both, at = np.concatenate([a, b]), np.concatenate([blocks, N_BLOCKS + blocks])
    if len(both) < both.shape[1]:
        # FD is the same in all axes, and few images span few.
        both = both @ np.linalg.qr(both.T)[0]
    units = units_of(*[np.bincount(blocks, minlength=N_BLOCKS)] * 2)
    dealt = []
    for to_a in permute(units, N_DEALS_FD, rng).to_a:
        on_a = np.concatenate([to_a[: units.n_a], np.zeros(N_BLOCKS - units.n_a, bool), to_a[units.n_a :]])[at]
        dealt.append(fd(bell(both[on_a]), bell(both[~on_a])))
    return float(dealt[0] - np.mean(dealt[1:]))


def parts_of(rows: Rows, rng: np.random.Generator) -> list[Covariance]:
    """Of random parts of a sample, evenly spaced from half of it to all of it: what `fd_without_limit` compares."""
    sizes = np.linspace(len(rows) / 2, len(rows), N_SHARES).round().astype(int)
    return [bell(rows[rng.permutation(len(rows))[:n]]) for n in sizes]


def fd_without_limit(a: list[Covariance], b: list[Covariance]) -> float:
    """FD∞ (Chong and Forsyth, 2020): the line through FD against 1/n, at 0; from `parts_of` both sides.

    Theirs are fifteen parts from a tenth of the sample on. With fewer images than features FD is far from a line, so
    these begin at half.
    """
    values = [fd(one, other) for one, other in zip(a, b, strict=True)]
    return float(np.polyfit([1 / one.n_images for one in a], values, 1)[1])
