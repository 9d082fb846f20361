"""P1: whether distances grow with damage, step by tiny step, and how many images that takes.

Tiles of photographs are the population, and every sample is drawn from it with replacement. An unchanged reference
sample is compared with samples at the six steps of a ladder of damage: of the same images (paired), or of images that
are drawn again for every step, as two datasets would be (fresh). Spearman's correlation with the step, and the share
of steps at which the distance grew (by chance: 0 and one half).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.protocols.damage import LADDERS, WORDS, damaged
from benchmarks.protocols.pools import Looker, Pool
from benchmarks.protocols.two_samples import fd, median_width, mmd, sliced, standardised, unit_directions
from benchmarks.protocols.viewed import NEURONS
from benchmarks.shifts import photographs, tiles
from dna_pipelines.comparison import emd_bins

HERE = Path(__file__).parent
N_POOL, N_REPEATS, N_DIRECTIONS, N_RESAMPLED = 400, 20, 64, 1000
SIZES = (25, 50, 100, 200, 400)
DRAWN = ("paired", "fresh")
METHODS = {"emd": "mean EMD", "fd": "FD", "mmd": "MMD", "sliced": "sliced W1"}


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols corruptions", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--images", type=int, default=N_POOL, help="in the population")
    parser.add_argument("--repeats", type=int, default=N_REPEATS, help="samples of each size")
    parser.add_argument("--cache", type=Path, help="a folder for what was measured")
    parser.add_argument(
        "--quick", action="store_true", help="few images and repeats, to see that it works; prints only"
    )
    parser.add_argument("--into", type=Path, help="the table; by default beside this module")
    chosen = parser.parse_args(options)
    if chosen.quick:
        chosen.images, chosen.repeats = 48, 3
    torch.set_num_threads(1)
    table = _markdown(chosen, measured(chosen))
    print(table)
    if not chosen.quick:
        (chosen.into or HERE / f"RESULTS-corruptions-{chosen.extractor}.md").write_text(table, encoding="utf-8")


def measured(chosen: argparse.Namespace) -> np.ndarray:
    """Distances: (kinds, methods, paired or fresh, sizes, repeats, steps)."""
    started = time.monotonic()
    images = tiles(-(-chosen.images // len(photographs())))[: chosen.images]
    looker = Looker(chosen.extractor, tiles(12, seed=1000), cache=chosen.cache)
    clean, measured_distances = looker.look(images), []
    directions = unit_directions(N_DIRECTIONS, clean.pooled.shape[1], np.random.default_rng(5))
    width = median_width(standardised(clean.pooled.astype(float)))
    for number, (kind, ladder) in enumerate(LADDERS.items()):
        rng = np.random.default_rng([23, number])
        # How often each sample takes each image: of the reference, and for each step.
        references = [_times(n, chosen, rng) for n in SIZES]
        steps = []
        for strength in ladder:
            changed = looker.look(damaged(images, kind, strength))
            fresh = [_times(n, chosen, rng) for n in SIZES]
            samples = np.concatenate([np.stack(references), np.stack(fresh)])
            against = np.concatenate([np.stack(references)] * 2)
            values = distances(clean, changed, _rows(against), _rows(samples), directions, width)
            steps.append(values.reshape(len(METHODS), len(DRAWN), len(SIZES), chosen.repeats))
        measured_distances.append(np.stack(steps, axis=-1))
        print(f"{kind} after {time.monotonic() - started:.0f} s", flush=True)
    return np.stack(measured_distances)


def _times(n: int, chosen: argparse.Namespace, rng: np.random.Generator) -> np.ndarray:
    """(n_repeats, n_images): how often n draws with replacement took each image."""
    return rng.multinomial(n, np.full(chosen.images, 1 / chosen.images), chosen.repeats)


def _rows(times: np.ndarray) -> np.ndarray:
    return times.reshape(-1, times.shape[-1])


def distances(a: Pool, b: Pool, of_a: np.ndarray, of_b: np.ndarray, directions: np.ndarray, width: float) -> np.ndarray:
    """(n_methods, n_samples) between samples of two pools.

    Args:
        a, b: the pools; peers see means standardised by the first.
        of_a, of_b: (n_samples, n_images) how often each sample has each image.
        directions: of sliced distances.
        width: of the kernel.
    """
    features = standardised(np.concatenate([a.pooled, b.pooled]).astype(float), like=a.pooled.astype(float))
    weights = np.concatenate([_shares(of_a), -_shares(of_b)], axis=1)
    return np.stack(
        [
            mean_emd(a.counts[NEURONS], b.counts[NEURONS], of_a, of_b),
            fd(features, weights),
            mmd(features, weights, width),
            sliced(features, weights, directions),
        ]
    )


def _shares(times: np.ndarray) -> np.ndarray:
    return times / times.sum(axis=1, keepdims=True)


def mean_emd(counts_a: np.ndarray, counts_b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """(n_samples,) in coarse bins."""
    # Below 2^24, float32 is exact.
    summed = [
        times.astype(np.float32) @ counts.reshape(len(counts), -1).astype(np.float32)
        for times, counts in ((of_a, counts_a), (of_b, counts_b))
    ]
    shape = counts_a.shape[1:]
    pairs = zip(*summed, strict=True)
    return np.array([emd_bins(*(one.reshape(shape).astype(np.uint64) for one in pair)).mean() for pair in pairs])


def spearman(values: np.ndarray) -> np.ndarray:
    """The rank correlation of the last axis with its order; ties have their mean rank."""
    left, right = values[..., :, None], values[..., None, :]
    ranks = (left > right).sum(axis=-1) + (left == right).sum(axis=-1) / 2
    ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    steps = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=-1) * (steps**2).sum())
    return (ranks * steps).sum(axis=-1) / np.where(spread > 0, spread, 1)


def growing(values: np.ndarray) -> np.ndarray:
    """The share of steps of the last axis at which it grows."""
    return (np.diff(values, axis=-1) > 0).mean(axis=-1)


def interval(values: np.ndarray) -> str:
    """The mean over kinds (first axis) and repeats (last), with a 95 % interval from resampled repeats."""
    rng, n_repeats = np.random.default_rng(3), values.shape[-1]
    again = [values[:, rng.integers(0, n_repeats, n_repeats)].mean() for _ in range(N_RESAMPLED)]
    low, high = np.quantile(again, [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.3f}–{high:.3f})"


def _markdown(chosen: argparse.Namespace, measured_distances: np.ndarray) -> str:
    command = f"--extractor {chosen.extractor} --images {chosen.images} --repeats {chosen.repeats}"
    lines = [
        f"# P1: tiny steps of damage, {chosen.extractor}",
        "",
        f"Written by `python -m benchmarks.protocols corruptions {command}`:",
        f"tiles of photographs, six kinds of damage of six steps each, {chosen.repeats} samples of every size. EMD is",
        "of all neurons (50 bins); the others are of image means of all neurons, standardised. Means over kinds, with",
        "95 % intervals from resampled samples.",
        "",
        *(
            f"- {kind}: {', '.join(WORDS[kind].format(strength) for strength in ladder)}"
            for kind, ladder in LADDERS.items()
        ),
        *(f"- {fact}" for fact in machine()),
        "",
    ]
    for what, of in (("Spearman's correlation with the step", spearman), ("share of steps at which it grows", growing)):
        for column, drawn in enumerate(DRAWN):
            lines += [f"## {what}, {drawn} images", ""]
            lines += ["| distance | " + " | ".join(f"n = {n}" for n in SIZES) + " |", "|---" * (1 + len(SIZES)) + "|"]
            for at, name in enumerate(METHODS.values()):
                cells = [interval(of(measured_distances[:, at, column, size])) for size in range(len(SIZES))]
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
            lines.append("")
    middle = SIZES.index(100)
    lines += ["## Spearman's correlation by kind, fresh images, n = 100", ""]
    lines += ["| distance | " + " | ".join(LADDERS) + " |", "|---" * (1 + len(LADDERS)) + "|"]
    for at, name in enumerate(METHODS.values()):
        cells = [interval(spearman(measured_distances[[kind], at, 1, middle])) for kind in range(len(LADDERS))]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
