"""P4: how many images it takes until the ranking of datasets is that of many images.

Eleven families of textures that differ by degrees. Each in turn is the reference, and the other ten are ranked by
their distance to it, from the first n images of each in a random order. A method's own ranking at the largest n is
what it is held to, by Spearman's correlation; the figure is the smallest n from which on its mean stays above 0.95.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.protocols.textures import Family, activations, counts_of_images
from dna_pipelines.comparison import emd_bins, fd
from dna_pipelines.distributions import Binning, Covariance
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.registry import load_extractor

HERE = Path(__file__).parent
N_MAX, N_REPEATS, N_DIRECTIONS = 768, 8, 64
SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
METHODS = {
    "emd": "mean EMD of all neurons (50 bins)",
    "emd_last": "mean EMD of the last layer's neurons (50 bins)",
    "sliced": "sliced W1 of the last layer's image means, 64 directions",
    "fd": "FD of the last layer's image means",
}


def families() -> list[Family]:
    """Eleven, near and far from each other in what they vary in."""
    rng = np.random.default_rng(4)
    drawn = rng.uniform(-1, 1, (11, 4))
    return [
        Family(1.5 + 0.35 * slope, 0.9 * stretch, 0.5 + 0.4 * colour, 0.18 * 2 ** (0.5 * contrast))
        for slope, stretch, colour, contrast in drawn
    ]


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols stability", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--images", type=int, default=N_MAX, help="of each family; fewer only print")
    parser.add_argument("--repeats", type=int, default=N_REPEATS, help="random orders; fewer only print")
    chosen = parser.parse_args(options)
    started, n_max = time.monotonic(), chosen.images
    torch.set_num_threads(1)
    extractor = load_extractor(chosen.extractor)
    counts, pooled = measured(extractor, n_max)
    print(f"{len(counts)} families of {n_max} images after {time.monotonic() - started:.0f} s", flush=True)
    sizes = [n for n in SIZES if n < n_max]
    rng, agreement = np.random.default_rng(11), {method: [] for method in METHODS}
    directions = rng.normal(size=(N_DIRECTIONS, pooled[0].shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    many = matrices(counts, pooled, [np.arange(n_max)] * len(counts), directions)
    for repeat in range(chosen.repeats):
        orders = [rng.permutation(n_max) for _ in counts]
        few = [matrices(counts, pooled, [order[:n] for order in orders], directions) for n in sizes]
        for method in METHODS:
            agreement[method].append([mean_spearman(matrix[method], many[method]) for matrix in few])
        print(f"order {repeat + 1} after {time.monotonic() - started:.0f} s", flush=True)
    table = _markdown({method: np.array(values) for method, values in agreement.items()}, sizes, n_max, extractor)
    print(table)
    if n_max >= N_MAX and chosen.repeats >= N_REPEATS:
        results = HERE / f"RESULTS-stability-{chosen.extractor}.md"
        results.write_text(table, encoding="utf-8")
        print(f"written to benchmarks/protocols/{results.name}")


def measured(extractor: Extractor, n_images: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of each family: coarse counts (n_images, n_neurons, bins), and image means of the last layer."""
    all_counts, all_pooled = [], []
    layers, parts = extractor.layers, list(extractor.layers.slices.values())
    # Ranges are fixed on some images of every family, as they would be on all datasets.
    low, high = np.full(layers.n_neurons, np.inf, np.float32), np.full(layers.n_neurons, -np.inf, np.float32)
    for number, family in enumerate(families()):
        for found in activations(extractor, family, 64, seed=1000 + number):
            for place, part in enumerate(parts):
                low[part] = np.minimum(low[part], found[place].min(axis=(0, 2)))
                high[part] = np.maximum(high[part], found[place].max(axis=(0, 2)))
    edges = Binning.from_observed(low, high, layers)
    binnings = [Binning(edges.lo[part], edges.hi[part]) for part in parts]
    for number, family in enumerate(families()):
        counts, pooled = [], []
        for found in activations(extractor, family, n_images, seed=number):
            seen = [counts_of_images(binning, found[place]) for place, binning in enumerate(binnings)]
            counts.append(np.concatenate([one for one, _ in seen], axis=1))
            pooled.append(seen[-1][1])
        all_counts.append(np.concatenate(counts)[:n_images])
        all_pooled.append(np.concatenate(pooled)[:n_images])
    return all_counts, all_pooled


def matrices(
    counts: list[np.ndarray], pooled: list[np.ndarray], rows: list[np.ndarray], directions: np.ndarray
) -> dict[str, np.ndarray]:
    """The distances of every two families by every method, from some of their images."""
    n_families, n_last = len(counts), pooled[0].shape[1]
    sums = [one[some].sum(axis=0, dtype=np.uint64) for one, some in zip(counts, rows, strict=True)]
    covariances = [Covariance.of(one[some]) for one, some in zip(pooled, rows, strict=True)]
    sliced = [np.sort(one[some] @ directions.T, axis=0) for one, some in zip(pooled, rows, strict=True)]
    found = {method: np.zeros((n_families, n_families)) for method in METHODS}
    for i, j in combinations(range(n_families), 2):
        emd = emd_bins(sums[i], sums[j])
        values = {
            "emd": emd.mean(),
            "emd_last": emd[-n_last:].mean(),
            "sliced": np.abs(sliced[i] - sliced[j]).mean(),
            "fd": fd(covariances[i], covariances[j]),
        }
        for method, value in values.items():
            found[method][i, j] = found[method][j, i] = value
    return found


def mean_spearman(few: np.ndarray, many: np.ndarray) -> float:
    """Over the references: the rank correlation of the distances of the others."""
    others = ~np.eye(len(few), dtype=bool)
    ranks = [np.argsort(np.argsort(matrix[others].reshape(len(few), -1), axis=1), axis=1) for matrix in (few, many)]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


def smallest(mean: np.ndarray, sizes: list[int]) -> int | None:
    """From which size on the mean stays above 0.95; None if it never does."""
    below = np.flatnonzero(mean <= 0.95)
    first = 0 if not len(below) else below[-1] + 1
    return sizes[first] if first < len(sizes) else None


def _markdown(agreement: dict[str, np.ndarray], sizes: list[int], n_max: int, extractor: Extractor) -> str:
    n_repeats = len(agreement["emd"])
    rng = np.random.default_rng(3)
    reached = {method: smallest(values.mean(axis=0), sizes) for method, values in agreement.items()}
    name, layers = extractor.network.name, list(extractor.layers)
    intro = (
        f"Written by `python -m benchmarks.protocols stability --extractor {name}`: 11 families of textures, "
        f"{extractor.layers.n_neurons} neurons, {layers[-1].n_neurons} of them in the last layer, {n_repeats} random "
        "orders; each family in turn ranks the other ten. Mean Spearman correlation with the ranking at "
        f"n = {n_max}, and the smallest n from which on it stays above 0.95, with the 95 % interval of a bootstrap "
        "over the orders."
    )
    lines = [
        f"# P4: how many images a ranking takes, {name}",
        "",
        intro,
        "",
        "| method | " + " | ".join(f"n = {n}" for n in sizes) + " | smallest n |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for method, values in agreement.items():
        again = [smallest(values[rng.integers(0, n_repeats, n_repeats)].mean(axis=0), sizes) for _ in range(1000)]
        low, high = np.percentile([n or n_max for n in again], [2.5, 97.5])
        cells = [f"{value:.3f}" for value in values.mean(axis=0)]
        cells.append(f"**{reached[method] or 'none'}** ({low:.0f} to {high:.0f})")
        lines.append(f"| {METHODS[method]} | " + " | ".join(cells) + " |")
    ours, theirs = reached["emd"] or n_max, reached["fd"] or n_max
    verdict = "met" if ours <= theirs / 2 else "**missed**"
    lines += ["", f"Target: EMD needs at most half the images of FD: {ours} against {theirs}: {verdict}.", ""]
    return "\n".join([*lines, *(f"- {fact}" for fact in machine()), ""])
