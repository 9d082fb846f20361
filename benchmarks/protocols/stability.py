"""P4: how many images it takes until datasets are ranked as by many images.

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
from benchmarks.protocols.bias_corrected import (
    N_PERMUTATIONS,
    N_PERMUTATIONS_FD,
    N_SHARES,
    bias_corrected_emd,
    bias_corrected_fd,
    by_turns,
    fd_without_limit,
    parts_of,
)
from benchmarks.protocols.feature_distances import bell
from benchmarks.protocols.seen import Seen
from benchmarks.protocols.textures import Family, activations
from benchmarks.protocols.two_samples import unit_directions
from benchmarks.protocols.viewed import NEURONS, PROJECTED, WHITENED, Viewed
from dna_pipelines.comparison import emd_bins, fd
from dna_pipelines.distributions import Binning
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.identity import N_BLOCKS

HERE = Path(__file__).parent
N_MAX, N_REPEATS, N_DIRECTIONS = 768, 8, 64
SIZES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
N_FOR_RANGES, N_FOR_VIEWS = 64, 12
"""Images of each family that ranges, and the maps of views, are fixed on."""
VIEWS = (PROJECTED, WHITENED)
METHODS = {
    "emd": "mean EMD of all neurons (50 bins)",
    "emd_corrected": "mean EMD of all neurons, bias-corrected",
    PROJECTED: "mean EMD of the view `projected`",
    WHITENED: "mean EMD of the view `whitened`",
    "emd_last": "mean EMD of the last layer's neurons (50 bins)",
    "sliced": "sliced W1 of the last layer's image means, 64 directions",
    "fd": "FD of the last layer's image means",
    "fd_corrected": "FD, bias-corrected",
    "fd_infinity": "FD∞",
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
    families_seen = measured(extractor, n_max)
    print(f"{len(families_seen)} families of {n_max} images after {time.monotonic() - started:.0f} s", flush=True)
    sizes = [n for n in SIZES if n < n_max]
    rng, agreement = np.random.default_rng(11), {method: [] for method in METHODS}
    n_last = list(extractor.layers)[-1].n_neurons
    directions, last = unit_directions(N_DIRECTIONS, n_last, rng), slice(-n_last, None)
    many = matrices(families_seen, last, directions, np.random.default_rng(12))
    for repeat in range(chosen.repeats):
        orders = [rng.permutation(n_max) for _ in families_seen]
        dealing, few = np.random.default_rng([12, repeat]), []
        for n in sizes:
            first = [seen[order[:n]] for seen, order in zip(families_seen, orders, strict=True)]
            few.append(matrices(first, last, directions, dealing))
        for method in METHODS:
            agreement[method].append([mean_spearman(matrix[method], many[method]) for matrix in few])
        print(f"order {repeat + 1} after {time.monotonic() - started:.0f} s", flush=True)
    table = _markdown({method: np.array(values) for method, values in agreement.items()}, sizes, n_max, extractor)
    print(table)
    if n_max >= N_MAX and chosen.repeats >= N_REPEATS:
        results = HERE / f"RESULTS-stability-{chosen.extractor}.md"
        results.write_text(table, encoding="utf-8")
        print(f"written to benchmarks/protocols/{results.name}")


def measured(extractor: Extractor, n_images: int) -> list[Seen]:
    """The images of each family."""
    layers, parts = extractor.layers, list(extractor.layers.slices.values())
    # Everything is fixed on some images of every family, as it would be on all datasets.
    low, high = np.full(layers.n_neurons, np.inf, np.float32), np.full(layers.n_neurons, -np.inf, np.float32)
    calibration: list[list[np.ndarray]] = []
    for number, family in enumerate(families()):
        for at, outputs in enumerate(activations(extractor, family, N_FOR_RANGES, seed=1000 + number)):
            for index, part in enumerate(parts):
                low[part] = np.minimum(low[part], outputs[index].min(axis=(0, 2)))
                high[part] = np.maximum(high[part], outputs[index].max(axis=(0, 2)))
            if at == 0:
                calibration.append([outputs[index][:N_FOR_VIEWS] for index in range(len(parts))])
    edges = Binning.from_observed(low, high, layers)
    binnings = [Binning(edges.lo[part], edges.hi[part]) for part in parts]
    viewed = Viewed(
        layers.names, [np.concatenate(arguments) for arguments in zip(*calibration, strict=True)], VIEWS, binnings
    )
    return [
        Seen.joined(
            Seen.through(viewed, [outputs[index] for index in range(len(parts))])
            for found in activations(extractor, family, n_images, seed=number)
        )[:n_images]
        for number, family in enumerate(families())
    ]


def matrices(
    families_seen: list[Seen], last: slice, directions: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The distances of every two families by every method.

    Args:
        families_seen: as many images of each, in a random order.
        last: the neurons of the last layer.
        directions: of the sliced distance.
        rng: draws permutations, and the parts of samples.
    """
    n_families = len(families_seen)
    sums = {view: [seen.whole(view) for seen in families_seen] for view in (NEURONS, *VIEWS)}
    blocks = [seen.in_blocks(by_turns(len(seen.pooled))) for seen in families_seen]
    rows = [seen.pooled[:, last].astype(float) for seen in families_seen]
    bells, parts = [bell(one) for one in rows], [parts_of(one, rng) for one in rows]
    along = [np.sort(values @ directions.T, axis=0) for values in rows]
    by_method = {method: np.zeros((n_families, n_families)) for method in METHODS}
    for i, j in combinations(range(n_families), 2):
        emd = emd_bins(sums[NEURONS][i], sums[NEURONS][j])
        values = {
            "emd": emd.mean(),
            "emd_corrected": bias_corrected_emd(blocks[i], blocks[j], rng),
            **{view: emd_bins(sums[view][i], sums[view][j]).mean() for view in VIEWS},
            "emd_last": emd[last].mean(),
            "sliced": np.abs(along[i] - along[j]).mean(),
            "fd": fd(bells[i], bells[j]),
            "fd_corrected": bias_corrected_fd(rows[i], rows[j], rng),
            "fd_infinity": fd_without_limit(parts[i], parts[j]),
        }
        for method, value in values.items():
            by_method[method][i, j] = by_method[method][j, i] = value
    return by_method


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
        f"over the orders. The null mean is that of {N_PERMUTATIONS} ({N_PERMUTATIONS_FD} for FD) permutations of "
        f"{N_BLOCKS} blocks, as in `dna compare`; FD∞ (Chong and Forsyth, 2020) is the line through FD of {N_SHARES} "
        "parts of the samples against 1/n, at 0. The views are of all layers."
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
    theirs, outcomes = reached["fd"] or n_max, []
    for method in ("emd", "emd_corrected", *VIEWS):
        ours = reached[method] or n_max
        outcomes.append(f"{METHODS[method]} {ours}, {'met' if ours <= theirs / 2 else '**missed**'}")
    lines += ["", f"Target: EMD needs at most half the images of FD, {theirs}: {'; '.join(outcomes)}.", ""]
    return "\n".join([*lines, *(f"- {fact}" for fact in machine()), ""])
