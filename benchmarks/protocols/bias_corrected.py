"""Bias-corrected distances: EMD as `dna compare` corrects it, FD in the same way, and FD∞."""

from __future__ import annotations

import numpy as np

from benchmarks.protocols.feature_distances import Rows, bell
from dna_pipelines.comparison import fd
from dna_pipelines.comparison.permutation import permute, permuted_distances, units_of
from dna_pipelines.distributions import Covariance
from dna_pipelines.identity import N_BLOCKS

N_PERMUTATIONS, N_PERMUTATIONS_FD, N_SHARES = 50, 10, 5

Blocks = tuple[np.ndarray, np.ndarray]
"""Counts (n_neurons, N_BLOCKS, COARSE_BINS) and images in each block."""


def by_turns(n_images: int) -> np.ndarray:
    """The blocks of images in a random order."""
    return np.arange(n_images) % N_BLOCKS


def bias_corrected_emd(a: Blocks, b: Blocks, rng: np.random.Generator) -> float:
    """The mean EMD in coarse bins, minus its null mean over `N_PERMUTATIONS` permutations of the blocks."""
    units = units_of(a[1], b[1])
    permuted = permuted_distances(a[0], b[0], units, permute(units, N_PERMUTATIONS, rng)).mean(axis=1)
    return float(permuted[0] - permuted[1:].mean())


def bias_corrected_fd(a: Rows, b: Rows, rng: np.random.Generator) -> float:
    """FD minus its null mean over `N_PERMUTATIONS_FD` permutations of the blocks; both sides have as many images."""
    blocks = by_turns(len(a))
    both, at = np.concatenate([a, b]), np.concatenate([blocks, N_BLOCKS + blocks])
    if len(both) < both.shape[1]:
        # FD does not depend on the axes, and few images span few axes.
        both = both @ np.linalg.qr(both.T)[0]
    units = units_of(*[np.bincount(blocks, minlength=N_BLOCKS)] * 2)
    permuted = []
    for to_a in permute(units, N_PERMUTATIONS_FD, rng).to_a:
        on_a = np.concatenate([to_a[: units.n_a], np.zeros(N_BLOCKS - units.n_a, bool), to_a[units.n_a :]])[at]
        permuted.append(fd(bell(both[on_a]), bell(both[~on_a])))
    return float(permuted[0] - np.mean(permuted[1:]))


def parts_of(rows: Rows, rng: np.random.Generator) -> list[Covariance]:
    """Of random parts of a sample, evenly spaced from half of it to all of it: what `fd_without_limit` compares."""
    sizes = np.linspace(len(rows) / 2, len(rows), N_SHARES).round().astype(int)
    return [bell(rows[rng.permutation(len(rows))[:n]]) for n in sizes]


def fd_without_limit(a: list[Covariance], b: list[Covariance]) -> float:
    """FD∞ (Chong and Forsyth, 2020): the line through FD against 1/n, at 0; from `parts_of` both sides.

    The authors use fifteen parts, from a tenth of the sample on. With fewer images than features FD is far from a line,
    so these parts begin at half.
    """
    values = [fd(part_a, part_b) for part_a, part_b in zip(a, b, strict=True)]
    return float(np.polyfit([1 / part.n_images for part in a], values, 1)[1])
