"""Folding: activations to counts, against the reference implementation's per-channel histogram."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.measure import Row, alternate, ms
from benchmarks.peers import HOW_TO_GET, reference
from benchmarks.world import World
from dna_pipelines.distributions import Binning, Layer, Layers
from dna_pipelines.distributions.fold import Fold

N_IMAGES, N_NEURONS, N_POSITIONS = 32, 768, 197
N_BINS = 1000
SHARD = 1024
TARGET = 8.0


def run(_world: World) -> list[Row]:
    stats = reference()
    if stats is None:
        print(HOW_TO_GET)
        return []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        conv, tokens = _activations()
        rows = []
        for layout, values in (("convolution layout", conv), ("token layout", tokens)):
            rows += _compare(stats, layout, values)
        return rows
    finally:
        torch.set_num_threads(threads)


def _activations():
    """The same values in both layouts: neurons differ in mean and spread, as they do in networks."""
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(0, 0.5, (1, N_NEURONS, 1)), rng.uniform(0.3, 2, (1, N_NEURONS, 1))
    conv = rng.normal(mean, spread, (N_IMAGES, N_NEURONS, N_POSITIONS)).astype(np.float32)
    tokens = np.ascontiguousarray(conv.transpose(0, 2, 1)).transpose(0, 2, 1)
    return conv, tokens


@torch.no_grad()
def _compare(stats, layout: str, values) -> list[Row]:
    layers = Layers((Layer("layer", N_NEURONS),))
    binning = Binning.from_observed(values.min((0, 2)), values.max((0, 2)), layers, N_BINS)
    # The images of a whole shard, so that every block occurs, as in a real fit.
    fold = Fold(binning, np.random.default_rng(1).integers(0, 64, SHARD))
    pooled = np.empty((SHARD, N_NEURONS))

    # What the reference's fitting loop does for each layer of a batch (get_data_features): its
    # activations are (n, c, h, w), and its normalising constants are float64.
    tensor = torch.from_numpy(values)[..., None]
    shape = (1, -1, 1, 1)
    middle = torch.from_numpy((binning.lo + binning.hi) / 2).reshape(shape)
    half = torch.from_numpy((binning.hi - binning.lo) / 2 + 1e-8).reshape(shape)
    theirs = torch.zeros((N_NEURONS, N_BINS), dtype=torch.long)
    normalised = (tensor - middle) / half

    def our_fold() -> None:
        fold.add(slice(0, N_NEURONS), values, slice(0, N_IMAGES), pooled[:N_IMAGES])

    def their_step() -> None:
        theirs.add_(stats.histogram_per_channel((tensor - middle) / half, N_BINS, [-1.0, 1.0]))

    def their_function() -> None:
        stats.histogram_per_channel(normalised, N_BINS, [-1.0, 1.0])

    rounds = alternate(15, ours=our_fold, step=their_step, function=their_function)
    moved = np.abs(fold.histogram().counts.astype(np.int64) - theirs.numpy()).sum() / 2 / theirs.sum().item()
    if moved > 1e-3:
        raise RuntimeError(f"{moved:.2%} of the values are in other bins than the reference's")
    ratio, alone = rounds.ratio("step", "ours"), rounds.ratio("function", "ours")
    shape_text = f"{N_IMAGES} images x {N_NEURONS} neurons x {N_POSITIONS} positions, one thread"
    return [
        Row(
            f"{layout}: `Fold.add` (1,000-bin histogram, block counts, extremes, pooled means); {shape_text}",
            ms(rounds.median("ours")),
            f"{ms(rounds.median('step'))} (vdna: normalise, `histogram_per_channel`, accumulate)",
            f"{ratio:.1f}x faster",
            f">= {TARGET:.0f}x",
            ratio >= TARGET,
            f"{rounds.spread('step', 'ours')}; the reference counts histograms only; "
            f"{moved * 1e6:.1f} of 10^6 values are in a neighbouring bin",
        ),
        Row(
            f"{layout}: the same against `histogram_per_channel` alone, its input normalised beforehand",
            ms(rounds.median("ours")),
            f"{ms(rounds.median('function'))} (vdna)",
            f"{alone:.1f}x faster",
            note=f"{rounds.spread('function', 'ours')}; ours maps to bins, theirs was spared it",
        ),
    ]
