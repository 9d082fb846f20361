"""Made-up images for protocols about significance: neurons with random effects of groups, images and tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from dna_pipelines.distributions import COARSE_BINS, Layer, Layers
from dna_pipelines.identity import N_BLOCKS

N_NEURONS, N_TOKENS = 48, 12
LAYERS = Layers((Layer("first", N_NEURONS // 2), Layer("second", N_NEURONS // 2)))
N_FACTORS = 6
"""Of an image's content, which make neurons depend on each other."""
EFFECTS = NORMAL, HEAVY, SELDOM = "normal", "skewed, heavy tails", "neurons seldom fire"
FIRING = 0.02
"""Share of the groups (of the images, where there are no groups) in which a neuron that seldom fires does."""


@dataclass(frozen=True, eq=False)
class Population:
    """Images that samples are drawn from, independently and with replacement, group by group.

    Attributes:
        counts: (n_groups, group_size, n_neurons, COARSE_BINS) uint8, the coarse counts of each image.
        means: (n_groups, group_size, n_neurons) the means over tokens.
    """

    counts: np.ndarray
    means: np.ndarray

    @property
    def group_size(self) -> int:
        return self.counts.shape[1]

    @staticmethod
    def made(rng, n_images=16_000, group_size=1, *, effects=NORMAL, shift=0.0, n_shifted=N_NEURONS, scale=1.0):
        """Args:
        rng: of the images.
        n_images, group_size: how many there are, and how many belong together.
        effects: of images, one of EFFECTS.
        shift, n_shifted, scale: of the effects of some neurons, in standard deviations of an image's effect.
        """
        n_groups = n_images // group_size
        # The same network for every population.
        loads = np.random.default_rng(7).normal(size=(N_FACTORS, N_NEURONS)) / N_FACTORS**0.5

        def drawn(*shape):
            return 0.7 * rng.normal(size=(*shape, N_FACTORS)) @ loads + 0.7 * rng.normal(size=(*shape, N_NEURONS))

        of_images = drawn(n_groups, group_size)
        if group_size > 1:
            of_images = 0.9 * drawn(n_groups, 1) + 0.4 * of_images
        if effects == HEAVY:
            of_images = np.exp(of_images) - 1.6
        of_images *= scale
        of_images[..., :n_shifted] += shift
        values = of_images[..., None] + 0.7 * rng.normal(size=(*of_images.shape, N_TOKENS))
        if effects == SELDOM:
            fires = rng.random((n_groups, N_NEURONS)) < FIRING
            values = np.where(fires[:, None, :, None], values, 0.0)
        bins = np.clip((values + 5) / 10 * COARSE_BINS, 0, COARSE_BINS - 1).astype(np.uint8)
        return Population(_counted(bins), values.mean(axis=-1).astype(np.float32))

    def sample(self, rng, n_images):
        """Block counts (n_neurons, N_BLOCKS, COARSE_BINS), images in each block, and the means of the images."""
        groups = rng.integers(0, len(self.counts), n_images // self.group_size)
        blocks = rng.integers(0, N_BLOCKS, len(groups))
        counts = _in_blocks(self.counts, groups, blocks)
        n_in_blocks = np.bincount(blocks, minlength=N_BLOCKS) * self.group_size
        return counts, n_in_blocks.astype(np.uint64), self.means[groups].reshape(-1, N_NEURONS)


@numba.njit(cache=True)
def _counted(bins):
    n_groups, size, n_neurons, n_tokens = bins.shape
    out = np.zeros((n_groups, size, n_neurons, COARSE_BINS), np.uint8)
    for g in range(n_groups):
        for i in range(size):
            for d in range(n_neurons):
                for t in range(n_tokens):
                    out[g, i, d, bins[g, i, d, t]] += np.uint8(1)
    return out


@numba.njit(cache=True)
def _in_blocks(counts, groups, blocks):
    size, n_neurons = counts.shape[1:3]
    out = np.zeros((n_neurons, N_BLOCKS, COARSE_BINS), np.uint64)
    for at in range(len(groups)):
        for i in range(size):
            for d in range(n_neurons):
                image, block = counts[groups[at], i, d], out[d, blocks[at]]
                for k in range(COARSE_BINS):
                    block[k] += np.uint64(image[k])
    return out
