"""How many bins the distances of overlap can do with: signal against the noise of small samples.

Two samples of one family of textures (noise), and of two families (signal), by every distance of histograms and
with bins joined more and more. What counts is their ratio: a distance whose noise is as large as its signal is of
no use, however large both are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.protocols.textures import Family, activations
from dna_pipelines.comparison.cumulative import cumulative_distances, overlap_distances
from dna_pipelines.comparison.metrics import PSI_FLOOR
from dna_pipelines.distributions import Binning
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.extraction.loading.registry import load_extractor

RESULTS = Path(__file__).with_name("RESULTS-bins.md")
N_IMAGES, N_SAMPLES, WIDTHS = 32, 6, (1, 5, 20, 40, 100)


def run(options: list[str]) -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.protocols bins", description=__doc__).parse_args(options)
    torch.set_num_threads(1)
    extractor = load_extractor("seeded_cnn")
    parts = list(extractor.layers.slices.values())
    near, other = Family(), Family(slope=1.6, colour=0.45)
    samples = [[list(activations(extractor, family, N_IMAGES, seed=10 * index + sample)) for sample in range(N_SAMPLES)]
             for index, family in enumerate((near, other))]  # fmt: skip
    low, high = (
        np.concatenate([
            extreme.reduce([
                extreme.reduce(seen[index], axis=(0, 2)) for some in samples for batches in some for seen in batches
            ])
            for index in range(len(parts))
        ])
        for extreme in (np.minimum, np.maximum)
    )  # fmt: skip
    binning = Binning.from_observed(low, high, extractor.layers)
    counts = [[_counts(binning, parts, batches) for batches in some] for some in samples]
    pairs = [(a, b) for a in range(N_SAMPLES) for b in range(a)]
    intro = (
        f"Written by `python -m benchmarks.protocols bins`: `seeded_cnn`, samples of {N_IMAGES} images; means over 208 "
        f"neurons and {len(pairs)} pairs. Noise: two samples of one family; signal: of two families a little apart."
    )
    lines = [
        "# Bins and the distances of overlap",
        "",
        intro,
        "",
        "| distance | bins | noise | signal | signal / noise |",
        "|---|---|---|---|---|",
    ]
    noise = _mean([_distances(counts[0][a], counts[0][b]) for a, b in pairs])
    signal = _mean([_distances(counts[0][a], counts[1][b]) for a, b in pairs])
    for (name, n_bins), floor in noise.items():
        ratio = signal[name, n_bins] / floor
        lines.append(f"| {name} | {n_bins:,} | {floor:.4f} | {signal[name, n_bins]:.4f} | {ratio:.2f} |")
    table = "\n".join([*lines, "", *(f"- {fact}" for fact in machine()), ""])
    print(table)
    RESULTS.write_text(table, encoding="utf-8")


def _counts(binning: Binning, parts: list[slice], batches: list[dict[int, np.ndarray]]) -> np.ndarray:
    fold = Fold(binning, np.zeros(N_IMAGES, int))
    pooled = np.empty((N_IMAGES, len(binning.lo)))
    for batch, seen in enumerate(batches):
        for index, part in enumerate(parts):
            n = len(seen[index])
            rows = slice(batch * n, (batch + 1) * n)
            fold.add(part, seen[index], rows, pooled[rows, part])
    return fold.histogram().counts


def _distances(a: np.ndarray, b: np.ndarray) -> dict[tuple[str, int], float]:
    mean_of = {}
    for width in WIDTHS:
        n_bins = a.shape[1] // width
        joined = [counts.reshape(len(counts), n_bins, width).sum(axis=2) for counts in (a, b)]
        absolute, squared, largest = cumulative_distances(*joined)
        divergence, affinity, psi = overlap_distances(a, b, width, PSI_FLOOR)
        values = {
            "emd_range": absolute / n_bins,
            "energy": np.sqrt(2 * squared / n_bins),
            "ks": largest,
            "js": np.sqrt(divergence),
            "hellinger": np.sqrt(affinity),
            "psi": psi,
        }
        mean_of |= {(name, n_bins): float(np.nanmean(one)) for name, one in values.items()}
    return {(name, n): mean_of[name, n] for name in values for n in sorted({n for _, n in mean_of}, reverse=True)}


def _mean(repeats: list[dict[tuple[str, int], float]]) -> dict[tuple[str, int], float]:
    return {key: float(np.mean([repeat[key] for repeat in repeats])) for key in repeats[0]}
