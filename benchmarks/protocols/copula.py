"""P3: a change of dependence alone: every neuron's maps are exchanged between images, so that no marginal changes.

One sample is of the population, the other of the same population shuffled: each neuron's map comes from an image
chosen for it alone. (Shuffled within a sample, all neurons would still share that sample's luck.) Every method is
tested by permuting whole images, at a nominal 5 %. Without the shuffle all must stay there; with it the
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
from benchmarks.protocols.two_samples import mmd, permuted_weights, rejects, standardised
from benchmarks.protocols.viewed import Viewed
from dna_pipelines.extraction.loading.registry import load_extractor

HERE = Path(__file__).parent
N_POOL, N_CALIBRATION, N_SIDE, N_PERMUTATIONS, N_TRIALS = 3000, 256, 100, 99, 200
N_LAYERS = 2
"""The last ones of the network."""
METHODS = ("neurons", "projected", "whitened", "MMD")


def mean_emd(cumulative: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Mean over neurons of the EMD of both sides, for each permutation (up to a factor)."""
    return np.abs(signs.astype(np.float32) @ cumulative).mean(axis=1)


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols copula", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="with the shuffle, and as many without")
    chosen = parser.parse_args(options)
    n_trials = chosen.trials
    started, rng = time.monotonic(), np.random.default_rng(20_230_621)
    torch.set_num_threads(1)
    extractor = load_extractor(chosen.extractor)
    calibration = _layers(extractor, N_CALIBRATION, seed=1)
    names = extractor.layers.names[-N_LAYERS:]
    eyes, pool = Viewed(names, calibration), _layers(extractor, N_POOL, seed=2)
    known = {kind: eyes.cumulative(kind, pool) for kind in METHODS[:3]}
    pooled = np.concatenate([values.mean(axis=2) for values in pool], axis=1)
    print(f"{N_POOL} images after {time.monotonic() - started:.0f} s", flush=True)
    hits = {(method, shuffled): 0 for method in METHODS for shuffled in (False, True)}
    for trial in range(n_trials):
        drawn, signs = (
            rng.choice(N_POOL, 2 * N_SIDE, replace=False),
            permuted_weights(N_SIDE, N_SIDE, N_PERMUTATIONS, rng),
        )
        first = drawn[:N_SIDE]
        layers = [_shuffled(values, first, rng) for values in pool]
        for method in METHODS:
            if method == "MMD":
                plain, means = pooled[drawn], np.concatenate([values.mean(axis=2) for values in layers], axis=1)
                changed = np.concatenate([pooled[first], means])
                statistics = mmd(standardised(plain), signs), mmd(standardised(changed), signs)
            else:
                changed = np.concatenate([known[method][first], eyes.cumulative(method, layers)])
                statistics = mean_emd(known[method][drawn], signs), mean_emd(changed, signs)
            for shuffled, values in zip((False, True), statistics, strict=True):
                hits[method, shuffled] += rejects(values)
        if trial % 20 == 19:
            print(f"{trial + 1} trials after {time.monotonic() - started:.0f} s: {hits}", flush=True)
    table = _markdown(hits, n_trials, chosen.extractor, {name: _n_outputs(eyes, name, pool) for name in METHODS[:3]})
    print(table)
    if n_trials >= N_TRIALS:
        results = HERE / f"RESULTS-copula-{chosen.extractor}.md"
        results.write_text(table, encoding="utf-8")
        print(f"written to benchmarks/protocols/{results.name}")


def _layers(extractor, n_images: int, seed: int) -> list[np.ndarray]:
    indices = range(len(extractor.layers))[-N_LAYERS:]
    # Only these layers are kept: those before them are large.
    batches = [[outputs[p] for p in indices] for outputs in activations(extractor, Family(), n_images, seed)]
    return [np.concatenate(values)[:n_images] for values in zip(*batches, strict=True)]


def _n_outputs(eyes: Viewed, kind: str, pool: list[np.ndarray]) -> str:
    return " + ".join(str(values.shape[1]) for values in eyes.see(kind, [values[:1] for values in pool]))


def _shuffled(values: np.ndarray, without: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images whose neurons have their maps from other images each, none of them from some."""
    n_images, n_neurons, _ = values.shape
    keys = rng.random((n_neurons, n_images))
    keys[:, without] = 2.0
    chosen = rng.permuted(np.argpartition(keys, N_SIDE, axis=1)[:, :N_SIDE], axis=1)
    return np.ascontiguousarray(values[chosen.T, np.arange(n_neurons)])


def _markdown(hits: dict[tuple[str, bool], int], n_trials: int, name: str, n_outputs: dict[str, str]) -> str:
    said = {
        "neurons": f"mean EMD of the network's own {n_outputs['neurons']} neurons",
        "projected": f"mean EMD of the view `projected` ({n_outputs['projected']} directions)",
        "whitened": f"mean EMD of the view `whitened` ({n_outputs['whitened']} components)",
        "MMD": "MMD of image means, Gaussian kernel",
    }
    intro = (
        f"Written by `python -m benchmarks.protocols copula --extractor {name}`: {N_SIDE} against {N_SIDE} images of "
        f"one family of textures, the last {N_LAYERS} layers, {N_PERMUTATIONS} permutations of whole images, "
        f"{n_trials} trials each, "
        f"of {N_POOL:,} images. Shares of trials that a test at 5 % calls a difference, with 95 % confidence intervals."
    )
    lines = [
        f"# P3: a change of dependence alone, {name}",
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
