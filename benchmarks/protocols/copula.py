"""P3: a change of dependence alone: every neuron's maps are exchanged between images, so that no marginal changes.

One sample is of the population, the other of the same population shuffled: each neuron's map comes from an image
chosen for it alone. (Shuffled within a sample, all neurons would still share that sample's luck.) Every method is
tested by dealing whole images anew, at a nominal 5 %. Without the shuffle all must stay there; with it the
network's own neurons must, and views must not.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.protocols.textures import Family, activations, wilson
from benchmarks.protocols.two_samples import deals, mmd, rejects, standardised
from benchmarks.protocols.viewed import Viewed
from dna_pipelines.extraction.registry import load_extractor

RESULTS = Path(__file__).with_name("RESULTS-copula.md")
N_POOL, N_CALIBRATION, N_SIDE, N_DEALS, N_TRIALS = 3000, 256, 100, 99, 200
LAYERS = (2, 3)
"""Of seeded_cnn: its last two, 64 neurons of 144 positions and 96 of 36."""
METHODS = ("neurons", "projected", "whitened", "MMD")


def mean_emd(cumulative: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Mean over neurons of the EMD of both sides, for each deal (to a factor)."""
    return np.abs(signs.astype(np.float32) @ cumulative).mean(axis=1)


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols copula", description=__doc__)
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="with the shuffle, and as many without")
    n_trials = parser.parse_args(options).trials
    started, rng = time.monotonic(), np.random.default_rng(20_230_621)
    torch.set_num_threads(1)
    extractor = load_extractor("seeded_cnn")
    calibration = _layers(extractor, N_CALIBRATION, seed=1)
    names = [extractor.layers.names[place] for place in LAYERS]
    eyes, pool = Viewed(names, calibration), _layers(extractor, N_POOL, seed=2)
    known = {kind: eyes.cumulative(kind, pool) for kind in METHODS[:3]}
    pooled = np.concatenate([values.mean(axis=2) for values in pool], axis=1)
    print(f"{N_POOL} images after {time.monotonic() - started:.0f} s", flush=True)
    hits = {(method, shuffled): 0 for method in METHODS for shuffled in (False, True)}
    for trial in range(n_trials):
        chosen, signs = rng.choice(N_POOL, 2 * N_SIDE, replace=False), deals(N_SIDE, N_SIDE, N_DEALS, rng)
        first = chosen[:N_SIDE]
        layers = [_shuffled(values, first, rng) for values in pool]
        for method in METHODS:
            if method == "MMD":
                plain, means = pooled[chosen], np.concatenate([values.mean(axis=2) for values in layers], axis=1)
                changed = np.concatenate([pooled[first], means])
                statistics = mmd(standardised(plain), signs), mmd(standardised(changed), signs)
            else:
                changed = np.concatenate([known[method][first], eyes.cumulative(method, layers)])
                statistics = mean_emd(known[method][chosen], signs), mean_emd(changed, signs)
            for shuffled, found in zip((False, True), statistics, strict=True):
                hits[method, shuffled] += rejects(found)
        if trial % 20 == 19:
            print(f"{trial + 1} trials after {time.monotonic() - started:.0f} s: {hits}", flush=True)
    table = _markdown(hits, n_trials)
    print(table)
    if n_trials >= N_TRIALS:
        RESULTS.write_text(table, encoding="utf-8")
        print(f"written to benchmarks/protocols/{RESULTS.name}")


def _layers(extractor, n_images: int, seed: int) -> list[np.ndarray]:
    batches = list(activations(extractor, Family(), n_images, seed))
    return [np.concatenate([found[place] for found in batches])[:n_images] for place in LAYERS]


def _shuffled(values: np.ndarray, without: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images whose neurons have their maps from other images each, none of them from some."""
    n_images, n_neurons, _ = values.shape
    keys = rng.random((n_neurons, n_images))
    keys[:, without] = 2.0
    chosen = rng.permuted(np.argpartition(keys, N_SIDE, axis=1)[:, :N_SIDE], axis=1)
    return np.ascontiguousarray(values[chosen.T, np.arange(n_neurons)])


def _markdown(hits: dict[tuple[str, bool], int], n_trials: int) -> str:
    said = {
        "neurons": "mean EMD of the network's own 160 neurons",
        "projected": "mean EMD of the view `projected` (2 x 64 directions)",
        "whitened": "mean EMD of the view `whitened` (2 x 64 components)",
        "MMD": "MMD of image means, Gaussian kernel",
    }
    intro = (
        f"Written by `python -m benchmarks.protocols copula`: {N_SIDE} against {N_SIDE} images of one family of "
        f"textures, `seeded_cnn`, {N_DEALS} deals of whole images, {n_trials} trials each, from {N_POOL:,} images. "
        "Shares of trials that a test at 5 % calls a difference, with 95 % confidence intervals."
    )
    lines = [
        "# P3: a change of dependence alone",
        "",
        intro,
        "",
        "| statistic | nothing changed | each neuron shuffled between images | target |",
        "|---|---|---|---|",
    ]
    for method in METHODS:
        power = hits[method, True] / n_trials
        target = {"neurons": "at most 5 %, to the interval", "MMD": "-"}.get(method, "at least 90 %")
        if method in ("projected", "whitened"):
            target += ": met" if power >= 0.9 else ": **missed**"
        shares = [wilson(hits[method, shuffled], n_trials) for shuffled in (False, True)]
        lines.append(f"| {said[method]} | {shares[0]} | {shares[1]} | {target} |")
    return "\n".join([*lines, "", *(f"- {fact}" for fact in machine()), ""])
