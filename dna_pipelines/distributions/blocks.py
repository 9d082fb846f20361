"""The blocks measure: coarse counts for each statistical block of a dataset.

Every image belongs to one of 64 fixed blocks by the hash of its group (or of its bytes). Blocks
are random samples of the dataset, so re-dealing them gives the null distribution of a distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions.binning import COARSE_BINS
from dna_pipelines.identity import N_BLOCKS


@dataclass(frozen=True, eq=False)
class Blocks:
    """Coarse counts per block; merging is exact.

    Attributes:
        counts: (n_neurons, N_BLOCKS, COARSE_BINS).
        n_images: (N_BLOCKS,) images in each block.
    """

    counts: NDArray[np.uint64]
    n_images: NDArray[np.uint64]

    @staticmethod
    def empty(n_neurons: int) -> Blocks:
        """The identity of `merge`."""
        return Blocks(np.zeros((n_neurons, N_BLOCKS, COARSE_BINS), np.uint64), np.zeros(N_BLOCKS, np.uint64))

    def merge(self, other: Blocks) -> Blocks:
        """The counts of both sets of images together."""
        total = Blocks(self.counts.copy(), self.n_images.copy())
        total.add(other)
        return total

    def add(self, other: Blocks) -> None:
        """Merge another into this one in place, which takes a fraction of the time because nothing is allocated."""
        if self.counts.shape != other.counts.shape:
            raise ValueError(f"blocks of shapes {self.counts.shape} and {other.counts.shape} cannot be merged")
        np.add(self.counts, other.counts, out=self.counts)
        np.add(self.n_images, other.n_images, out=self.n_images)
