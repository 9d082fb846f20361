"""The significance test of a pair: reading, permuting and testing 9,984 neurons, against a bare matrix product."""

from __future__ import annotations

import os
import resource

import numpy as np

from benchmarks.matrix import LAYERS, N_BINS, WIDTH
from benchmarks.measure import Row, alternate, ms, timed
from benchmarks.world import World
from dna_pipelines.comparison import Selection, emd_bins, significance
from dna_pipelines.comparison.multiplicity import exceedance_p
from dna_pipelines.comparison.permutation import permute, permuted_distances, units_of
from dna_pipelines.distributions import COARSE_BINS, Blocks, Histogram, Moments
from dna_pipelines.identity import N_BLOCKS
from dna_pipelines.storage import DnaRecord, Lake

N_PERMUTATIONS = 1000
N_IMAGES, N_POSITIONS = 640, 197
TARGET_S = 10.0
N_PAIRS, N_NEURONS, N_PERMUTATIONS_FINE = 24, 16, 199
"""For the check against 1,000 bins."""


def run(world: World) -> list[Row]:
    return [*_whole(world), *_kernel(), *_against_fine_bins()]


def _whole(world: World) -> list[Row]:
    """As `dna compare` does: both DNAs are read from their files, and all neurons and layers are tested."""
    lake = Lake(world.root / "significance_lake")
    lake.prepare()
    ids = [_put_dna(lake, index) for index in range(2)]
    indices = {name: index for index, name in enumerate(LAYERS.names)}
    n_images = [lake.fingerprints.dna_blocks(identity, 0).n_images for identity in ids]

    def ours(n_permutations: int = N_PERMUTATIONS) -> object:
        return significance(
            Selection.everything(LAYERS),
            lambda name: tuple(lake.fingerprints.dna_blocks(identity, indices[name]).counts for identity in ids),
            *n_images,
            n_permutations=n_permutations,
            seed=1,
            n_bins=N_BINS,
        )

    def read() -> object:
        return [lake.fingerprints.dna_blocks(identity, index) for identity in ids for index in indices.values()]

    ours(99)  # compiles
    rounds = alternate(3, warm_up=False, ours=ours, read=read)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = rounds.median("ours")
    return [
        Row(
            f"{N_PERMUTATIONS:,} permutations of 2 x {N_BLOCKS} blocks, {LAYERS.n_neurons:,} neurons, with reading, "
            "interval and corrected p of every layer and neuron",
            ms(seconds),
            f"{ms(rounds.median('read'))} (reading alone)",
            f"{rounds.median('read') / seconds:.0%} is reading",
            f"<= {TARGET_S:.0f} s",
            seconds <= TARGET_S,
            f"peak memory of this process {peak:.2f} GiB (target: 2)",
        )
    ]


def _kernel() -> list[Row]:
    """The permutations of one layer, against the matrix product that they amount to."""
    rng = np.random.default_rng(0)
    a, b = (_block_counts(rng, WIDTH) for _ in range(2))
    n_images = np.full(N_BLOCKS, N_IMAGES // N_BLOCKS, np.uint64)
    units = units_of(n_images, n_images)
    permutations = permute(units, N_PERMUTATIONS, rng)
    left = permutations.to_a.astype(np.float32)
    right = rng.random((2 * N_BLOCKS, (COARSE_BINS - 1) * WIDTH), dtype=np.float32)
    out = np.empty((len(left), right.shape[1]), np.float32)
    rounds = alternate(
        5, ours=lambda: permuted_distances(a, b, units, permutations), product=lambda: np.matmul(left, right, out=out)
    )
    return [
        Row(
            f"the same of one layer of {WIDTH} neurons in memory: residuals, sums and distances",
            ms(rounds.median("ours")),
            f"{ms(rounds.median('product'))} (numpy: the bare float32 product of {left.shape[0]:,} x {left.shape[1]} "
            f"and {right.shape[0]} x {right.shape[1]:,})",
            f"{rounds.median('product') / rounds.median('ours'):.0%} of the product's speed",
            note=f"{rounds.spread('product', 'ours')}; {os.cpu_count()} cores",
        )
    ]


def _against_fine_bins() -> list[Row]:
    """Decisions on 50 bins against those on 1,000 bins, where blocks are added up one by one."""
    rng, agree, differences = np.random.default_rng(1), 0, []
    elapsed = 0.0
    for pair in range(N_PAIRS):
        # From no shift to an obvious one.
        sides = [_fine_counts(rng, shift) for shift in (0.0, 0.6 * pair / N_PAIRS)]
        n_images = [side[1] for side in sides]
        units = units_of(*n_images)
        permutations = permute(units, N_PERMUTATIONS_FINE, rng)
        coarse = [side[0].reshape(*side[0].shape[:2], COARSE_BINS, -1).sum(axis=3) for side in sides]
        fast = exceedance_p(permuted_distances(*coarse, units, permutations).mean(axis=1))
        seconds, slow = timed(lambda s=sides, u=units, p=permutations: _slow(s, u, p))
        elapsed += seconds
        agree += (fast <= 0.05) == (exceedance_p(slow) <= 0.05)
        differences.append(abs(fast - exceedance_p(slow)))
    return [
        Row(
            f"decisions at 5 % on {COARSE_BINS} bins, {N_PAIRS} pairs of {N_IMAGES // 4} images with growing shifts",
            f"{agree} as on {N_BINS:,} bins",
            f"{N_PAIRS} (slow: full histograms are added up, {ms(elapsed / N_PAIRS)} a pair of {N_NEURONS} neurons)",
            f"{agree / N_PAIRS:.0%} agree",
            ">= 95%",
            agree >= 0.95 * N_PAIRS,
            f"p differs by {np.mean(differences):.3f} on average, {max(differences):.3f} at most",
        )
    ]


def _slow(sides, units, permutations):
    distances = []
    for row, scale in zip(permutations.to_a, permutations.scale, strict=True):
        permuted = [np.zeros((N_NEURONS, N_BINS), np.uint64) for _ in range(2)]
        for (counts, _), of in zip(sides, (units.of_a, units.of_b), strict=True):
            for block in np.flatnonzero(of >= 0):
                permuted[0 if row[of[block]] else 1] += counts[:, block]
        distances.append(scale * emd_bins(*permuted).mean())
    return np.array(distances)


def _fine_counts(rng, shift):
    """(N_NEURONS, N_BLOCKS, N_BINS) counts of images with random effects, and the number of images in each block."""
    n_images = N_IMAGES // 4
    effects = shift + rng.normal(size=(n_images, 4)) @ np.random.default_rng(5).normal(size=(4, N_NEURONS)) / 2
    values = effects[..., None] + 0.7 * rng.normal(size=(n_images, N_NEURONS, 32))
    blocks = rng.integers(0, N_BLOCKS, n_images)
    counts = np.zeros((N_NEURONS, N_BLOCKS, N_BINS), np.uint64)
    bins = np.clip((values + 5) / 10 * N_BINS, 0, N_BINS - 1).astype(int)
    np.add.at(counts, (np.arange(N_NEURONS)[None, :, None], blocks[:, None, None], bins), 1)
    return counts, np.bincount(blocks, minlength=N_BLOCKS).astype(np.uint64)


def _block_counts(rng, n_neurons):
    shares = rng.dirichlet(np.exp(-(np.linspace(-3, 3, COARSE_BINS) ** 2)) * 20 + 0.05, (n_neurons, N_BLOCKS))
    return rng.multinomial(N_IMAGES // N_BLOCKS * N_POSITIONS, shares).astype(np.uint64)


def _put_dna(lake: Lake, index: int) -> str:
    rng, n_neurons = np.random.default_rng(index), LAYERS.n_neurons
    counts = np.concatenate([_block_counts(rng, WIDTH) for _ in range(len(LAYERS))])
    blocks = Blocks(counts, np.full(N_BLOCKS, N_IMAGES // N_BLOCKS, np.uint64))
    # The histogram and the moments are not read.
    moments = Moments(np.full(n_neurons, N_IMAGES, np.uint64), np.zeros(n_neurons), np.zeros(n_neurons), {})
    record = DnaRecord(
        dna_id=f"{index:024d}", extractor="made up", comparability_key="k", version_id="v", n_images=N_IMAGES,
        n_neurons=n_neurons, shards=(), compute_keys=(), layers=LAYERS.key(), n_dead=0, clipped_share=0.0,
        n_images_extracted=0, extraction_s=0.0, created_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    lake.fingerprints.put_dna(record, Histogram.empty(n_neurons, N_BINS), moments, blocks)
    return record.dna_id
