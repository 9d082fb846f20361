"""The distance matrix of 50 DNAs from their files, against the reference's distance in memory."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numba
import numpy as np
import torch

from benchmarks.measure import Row, alternate, ms, timed
from benchmarks.peers import HOW_TO_GET, reference
from benchmarks.world import World
from dna_pipelines.comparison import LayerMeasures, fd, layer_distances, portions
from dna_pipelines.comparison.cumulative import cumulative, pairwise_l1
from dna_pipelines.distributions import Blocks, Covariance, Histogram, Layer, Layers, Moments
from dna_pipelines.storage import DnaRecord, Lake

N_DNAS, N_LAYERS, WIDTH, N_BINS = 50, 13, 768, 1000
N_IMAGES, N_POSITIONS = 1000, 197
LAYERS = Layers(tuple(Layer(f"block{index}", WIDTH) for index in range(N_LAYERS)))
TARGET = 20.0


def run(world: World) -> list[Row]:
    lake = Lake(world.root / "matrix_lake")
    lake.prepare()
    ids = [_put_dna(lake, index) for index in range(N_DNAS)]
    return [*_matrix(lake, ids), *_frechet(), *_kernel(lake, ids)]


def _put_dna(lake: Lake, index: int) -> str:
    """A synthetic DNA. Layers have the same neurons in another order, which saves time."""
    rng = np.random.default_rng(index)
    centre, width = rng.uniform(0.3, 0.7, (WIDTH, 1)), rng.uniform(0.05, 0.2, (WIDTH, 1))
    shares = np.exp(-0.5 * (((np.arange(N_BINS) + 0.5) / N_BINS - centre) / width) ** 2)
    drawn = rng.multinomial(N_IMAGES * N_POSITIONS, shares / shares.sum(axis=1, keepdims=True)).astype(np.uint64)
    counts = np.concatenate([drawn[rng.permutation(WIDTH)] for _ in range(N_LAYERS)])
    n = LAYERS.n_neurons
    none, extreme = np.zeros(n, np.uint64), np.full(n, 3, np.float32)
    n_values = np.full(n, N_IMAGES * N_POSITIONS, np.uint64)
    histogram = Histogram(counts, n_values, none, none, none, none, -extreme, extreme)
    moments = Moments(np.full(n, N_IMAGES, np.uint64), rng.normal(size=n), rng.uniform(500, 2000, n))
    record = DnaRecord(
        dna_id=f"{index:024x}", extractor="made_up", comparability_key="made_up", version_id=f"{index:024x}",
        n_images=N_IMAGES, n_neurons=n, shards=(), compute_keys=(), layers=LAYERS.key(), n_dead=0, clipped_share=0.0,
        n_images_extracted=0, extraction_s=0.0, created_at="2000-01-01T00:00:00+00:00",
    )  # fmt: skip
    lake.fingerprints.put_dna(record, histogram, moments, Blocks.empty(n))
    return record.dna_id


def _matrix(lake: Lake, ids: list[str]) -> list[Row]:
    pairs = list(combinations(ids, 2))
    indices = {name: index for index, name in enumerate(LAYERS.names)}
    written: list[Path] = []
    reading_s: list[float] = []

    def ours() -> None:
        # As `update.pairs.update_pairs` does with the missing pairs; each round writes a new file.
        def measures(identity: str, layer: str) -> LayerMeasures:
            seconds, read = timed(lambda: lake.fingerprints.dna_layer(identity, indices[layer]))
            reading_s.append(seconds)
            return LayerMeasures(*read)

        key = f"round{len(written)}"
        for some in portions(pairs):
            lake.distances.put_layers(key, layer_distances(some, LAYERS, measures))
        written.append(next(iter((lake.layout.root / "distances" / "layers").glob(f"{key}-*.parquet"))))

    stats = reference()
    if stats is None:
        print(HOW_TO_GET)
        return []
    counts = [_counts(lake, identity) for identity in ids[:4]]
    as_floats = [torch.from_numpy(dna.astype(np.float64)) for dna in counts]
    as_loaded = [torch.from_numpy(dna.astype(np.int32)) for dna in counts]
    some = list(combinations(range(4), 2))

    def theirs(histograms) -> None:
        for a, b in some:
            stats.earth_movers_distance(histograms[a], histograms[b])

    _check(stats, as_floats)
    torch.set_num_threads(os.cpu_count() or 1)
    # Only the peer is warmed up: its first calls are slow, and ours takes half a minute.
    theirs(as_floats)
    theirs(as_loaded)
    rounds = alternate(3, warm_up=False, floats=lambda: theirs(as_floats), ours=ours, loaded=lambda: theirs(as_loaded))
    scale = len(pairs) / len(some)
    per_pair = rounds.median("ours") / len(pairs)
    floats, loaded = rounds.median("floats") / len(some), rounds.median("loaded") / len(some)
    reading = sum(reading_s) / sum(rounds.seconds["ours"])
    reads = len(reading_s) / len(written) / (N_DNAS * N_LAYERS)
    what = f"{N_DNAS} DNAs of {LAYERS.n_neurons:,} neurons x {N_BINS:,} bins, {len(pairs):,} pairs"
    return [
        Row(
            f"{what}: read from Parquet, EMD and NFD by layer, written; a pair",
            f"{ms(per_pair)} ({rounds.median('ours'):.3g} s in all)",
            f"{ms(floats)} (vdna `earth_movers_distance`, float64 histograms in memory, all cores)",
            f"{floats / per_pair:.1f}x faster",
            f">= {TARGET:.0f}x",
            floats / per_pair >= TARGET,
            f"{rounds.spread('floats', 'ours', scale)}; {reading:.0%} of ours is reading layers, "
            f"each {reads:.1f} times on average, on one thread",
        ),
        Row(
            "the same against int32 histograms, which is what the reference loads from its files; a pair",
            ms(per_pair),
            f"{ms(loaded)} (vdna, int32 histograms in memory, all cores)",
            f"{loaded / per_pair:.1f}x faster",
            note=rounds.spread("loaded", "ours", scale),
        ),
    ]


def _counts(lake: Lake, identity: str):
    return np.concatenate([lake.fingerprints.dna_layer(identity, index)[0].counts for index in range(N_LAYERS)])


def _check(stats, histograms) -> None:
    """Both must give the same distances."""
    theirs = stats.earth_movers_distance(histograms[0], histograms[1]).numpy()
    stacked = np.stack([cumulative(histogram.numpy().astype(np.uint64)) for histogram in histograms[:2]])
    ours = pairwise_l1(stacked, stacked, np.array([0]), np.array([1]))[0]
    if not np.allclose(ours, theirs, rtol=1e-9):
        raise RuntimeError("our distances are not the reference's")


def _frechet() -> list[Row]:
    """One layer of one pair. It is part of a matrix for layers that keep a full covariance."""
    stats = reference()
    if stats is None:
        return []
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5
    two = [Covariance.of(rng.normal(size=(2 * WIDTH, WIDTH)) @ mixing + shift) for shift in (0.0, 0.1)]
    mean_a, mean_b = (torch.from_numpy(side.mean) for side in two)
    cov_a, cov_b = (torch.from_numpy(side.covariance) for side in two)

    def theirs() -> None:
        stats.frechet_distance_multidim(mean_a, cov_a, mean_b, cov_b)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, about how the reference calls it
        rounds = alternate(9, ours=lambda: fd(*two), theirs=theirs)
    return [
        Row(
            f"FD of one layer of {WIDTH} neurons (not in the matrix above, whose DNAs have no covariances); a pair",
            ms(rounds.median("ours")),
            f"{ms(rounds.median('theirs'))} (vdna `frechet_distance_multidim`)",
            f"{rounds.ratio('theirs', 'ours'):.1f}x faster",
            note=rounds.spread("theirs", "ours"),
        )
    ]


def _kernel(lake: Lake, ids: list[str]) -> list[Row]:
    """The L1 loop alone, against how fast the same threads can read memory and their own caches."""
    stacked = np.stack([cumulative(lake.fingerprints.dna_layer(identity, 0)[0].counts) for identity in ids[:32]])
    first, second = (np.array(side) for side in zip(*combinations(range(len(stacked)), 2), strict=True))
    n_threads = os.cpu_count() or 1
    large = np.ones(1 << 27)
    halves = np.array_split(large, n_threads)
    # Small enough for the second-level cache of a core, and read over and over.
    small, n_turns = [np.ones(1 << 15) for _ in range(n_threads)], 2000

    with ThreadPoolExecutor(n_threads) as pool:
        rounds = alternate(
            7,
            ours=lambda: pairwise_l1(stacked, stacked, first, second),
            memory=lambda: list(pool.map(_read, halves, [1] * n_threads)),
            cache=lambda: list(pool.map(_read, small, [n_turns] * n_threads)),
        )
    touched = 2 * 8 * len(first) * WIDTH * N_BINS / rounds.median("ours") / 1e9
    once = stacked.nbytes / rounds.median("ours") / 1e9
    memory = large.nbytes / rounds.median("memory") / 1e9
    cache = n_turns * sum(array.nbytes for array in small) / rounds.median("cache") / 1e9
    what = f"L1 kernel: CDFs of 32 DNAs x {WIDTH} neurons, {len(first)} pairs, {n_threads} threads"
    return [
        Row(
            f"{what}: bytes touched (both rows of every pair) a second",
            f"{touched:.3g} GB/s",
            f"{memory:.3g} GB/s (sum over an array of 1 GiB in memory)",
            f"{touched / memory:.0%} of memory bandwidth",
            note=f"may exceed 100 %, as rows stay in the cache; counting every CDF once it is {once:.2g} GB/s",
        ),
        Row(
            f"{what}: the same against the cache",
            f"{touched:.3g} GB/s",
            f"{cache:.3g} GB/s (sums over 256 KiB a thread, in its second-level cache)",
            f"{touched / cache:.0%} of cache bandwidth",
        ),
    ]


@numba.njit(nogil=True, fastmath={"reassoc", "nsz"})
def _read(values, n_turns):
    total = 0.0
    for _ in range(n_turns):
        part = 0.0
        for index in range(values.shape[0]):
            part += values[index]
        # Kept inside the loop by a result that depends on the turn before.
        total = part - total
    return total
