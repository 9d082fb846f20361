"""P7: whether distances say which dataset to train on: thirteen variants of digits, a classifier carried between them.

A classifier (a support vector machine with a Gaussian kernel, on 16 x 16 grey levels) is trained on a sample of one
variant and tested on another variant's images. Sources have sizes of their own, because size is what a user would go by
who had no distance. Asked is how distances rank accuracies: over all pairs, for each target, and what is lost by
training on the nearest source instead of the best.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import machine
from benchmarks.protocols.agreement import T95, mean_interval, spearman
from benchmarks.protocols.digit_variants import VARIANTS, inputs, varied
from benchmarks.protocols.feature_distances import bell, unbiased_mmd
from benchmarks.protocols.seen import Seen, Sight
from dna_pipelines.comparison import emd_bins, fd
from dna_pipelines.config import View
from dna_pipelines.extraction.views.view_layers import layers_of_view

HERE = Path(__file__).parent
N_REPEATS, N_SOURCE, N_TARGET = 5, 400, 200
"""Of each variant, images that sources and targets are drawn from."""
SMALLEST, TARGET_SIZE = 1 / 8, 150
"""Sources have from this share of those images to all of them, targets so many."""
VIEW = View.parse("spatial4")


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols transfer", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--repeats", type=int, default=N_REPEATS, choices=T95, help="with samples drawn again")
    parser.add_argument("--quick", action="store_true", help="few images and two repeats; prints only")
    chosen = parser.parse_args(options)
    n_repeats = 2 if chosen.quick else chosen.repeats
    n_source, n_target = (60, 30) if chosen.quick else (N_SOURCE, N_TARGET)
    started, rng = time.monotonic(), np.random.default_rng(77)
    digits, labels = _digits(n_source + n_target)
    images = {name: varied(digits, name, rng) for name in VARIANTS}
    sight = Sight(chosen.extractor, np.concatenate([some[:16] for some in images.values()]))
    made = layers_of_view(VIEW, sight.extractor.layers, sight.extractor.positions, chosen.extractor)
    # How often each sample has each image: for every repeat the source, then the target.
    times = {name: _samples(n_repeats, n_source, n_target, rng) for name in VARIANTS}
    seen, cells = {}, {}
    for name, some in images.items():
        seen[name], cells[name] = sight.see_cells(some, made, times[name].reshape(-1, n_source + n_target))
        print(f"{name} after {time.monotonic() - started:.0f} s", flush=True)
    figures: dict[str, list[dict[str, float]]] = {}
    accuracies = []
    for repeat in range(n_repeats):
        drawn = {name: times[name][repeat].astype(bool) for name in VARIANTS}
        accuracy = _accuracies(images, labels, drawn)
        accuracies.append(accuracy)
        cumulated = {name: cells[name][2 * repeat : 2 * repeat + 2] for name in VARIANTS}
        for method, matrix in _distances(sight, seen, cumulated, drawn, made.layers.n_neurons).items():
            figures.setdefault(method, []).append(_figures(matrix, accuracy))
        print(f"repeat {repeat + 1} of {n_repeats} after {time.monotonic() - started:.0f} s", flush=True)
    minutes = (time.monotonic() - started) / 60
    table = _markdown(chosen.extractor, figures, np.array(accuracies), (n_source, n_target))
    print(table)
    if not chosen.quick:
        results = HERE / f"RESULTS-transfer-{chosen.extractor}.md"
        results.write_text("\n".join([table, *(f"- {fact}" for fact in machine()), f"- {minutes:.0f} minutes.", ""]))
        print(f"written to benchmarks/protocols/{results.name}")


def _digits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Some of scikit-learn's in random order, (n, 8, 8), and what they are."""
    from sklearn.datasets import load_digits

    bunch, some = load_digits(), np.random.default_rng(5).permutation(1797)[:n]
    return bunch.images[some], bunch.target[some]


def _samples(n_repeats: int, n_source: int, n_target: int, rng: np.random.Generator) -> np.ndarray:
    """(n_repeats, 2, n_images) of 0 and 1: a source of a size of its own, and a target."""
    times = np.zeros((n_repeats, 2, n_source + n_target), np.float32)
    for source, target in times:
        source[rng.permutation(n_source)[: int(n_source * SMALLEST ** rng.random())]] = 1
        target[n_source + rng.permutation(n_target)[:TARGET_SIZE]] = 1
    return times


def _accuracies(images: dict[str, np.ndarray], labels: np.ndarray, drawn: dict[str, np.ndarray]) -> np.ndarray:
    """(source, target)."""
    from sklearn.svm import SVC

    values, accuracies = {name: inputs(some) for name, some in images.items()}, []
    for name in VARIANTS:
        source = drawn[name][0]
        fitted = SVC(C=5).fit(values[name][source], labels[source])
        accuracies.append([fitted.score(values[to][drawn[to][1]], labels[drawn[to][1]]) for to in VARIANTS])
    return np.array(accuracies)


def _distances(
    sight: Sight, seen: dict[str, Seen], cells: dict[str, np.ndarray], drawn: dict[str, np.ndarray], n_cells: int
) -> dict[str, np.ndarray]:
    """By method, (source, target)."""
    n, layers = len(VARIANTS), sight.extractor.layers
    sums = {name: seen[name].summed(drawn[name]) for name in VARIANTS}
    by_method: dict[str, np.ndarray] = {}
    means = {name: [seen[name].pooled[some][:, sight.features] for some in drawn[name]] for name in VARIANTS}
    bells = {name: [bell(one) for one in means[name]] for name in VARIANTS}
    for i, source in enumerate(VARIANTS):
        for j, target in enumerate(VARIANTS):
            emd = emd_bins(sums[source][0], sums[target][1])
            in_cells = emd_bins(cells[source][0].astype(np.uint64), cells[target][1].astype(np.uint64))
            values = {
                "EMD, all neurons": emd.mean(),
                **{f"EMD, {name}": emd[part].mean() for name, part in layers.slices.items()},
                f"EMD, view {VIEW.name} ({n_cells:,} cells)": in_cells.mean(),
                "FD": fd(bells[source][0], bells[target][1]),
                "MMD": unbiased_mmd(means[source][0], means[target][1]),
                "size of the source": -drawn[source][0].sum(),
            }
            for method, value in values.items():
                by_method.setdefault(method, np.zeros((n, n)))[i, j] = value
    return by_method


def _figures(distances: np.ndarray, accuracy: np.ndarray) -> dict[str, float]:
    """Of sources that are not the target itself."""
    others = ~np.eye(len(distances), dtype=bool)
    by_target = [(distances[others[:, j], j], accuracy[others[:, j], j]) for j in range(len(distances))]
    return {
        "pooled": spearman(-distances[others], accuracy[others]),
        "per target": float(np.nanmean([spearman(-away, right) for away, right in by_target])),
        "regret": float(np.mean([right.max() - right[np.argmin(away)] for away, right in by_target])),
    }


def _markdown(extractor: str, figures, accuracies: np.ndarray, sizes: tuple[int, int]) -> str:
    others = ~np.eye(accuracies.shape[1], dtype=bool)
    own, best = (
        np.mean([np.diag(matrix).mean() for matrix in accuracies]),
        np.where(others, accuracies, 0).max(axis=1).mean(),
    )
    n_repeats = len(accuracies)
    intro = (
        f"Written by `python -m benchmarks.protocols transfer --extractor {extractor} --repeats {n_repeats}`: "
        f"{len(VARIANTS)} variants of {sum(sizes)} digits; sources of {SMALLEST * sizes[0]:.0f} to {sizes[0]} images, "
        f"targets of {min(TARGET_SIZE, sizes[1])} other digits. Means of {n_repeats} repeats (samples and sizes drawn "
        "again), ± half of the 95 % interval; EMD is on the 50 coarse bins."
    )
    scale = (
        f"Accuracy on a variant's own other images is {own:.3f}, from another variant "
        f"{accuracies[:, others].mean():.3f}, from the best other one {best:.3f}. Regret is the best less that of the "
        "nearest, in accuracy."
    )
    lines = [f"# P7: which dataset to train on, {extractor}", "", intro, "", scale, ""]
    lines += ["| method | Spearman, pooled | Spearman, per target | regret |", "|---|---|---|---|"]
    for method, repeats in figures.items():
        cells = [mean_interval(np.array([one[figure] for one in repeats])) for figure in repeats[0]]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    random = np.mean([accuracies[:, others[:, j], j].mean() for j in range(len(others))])
    lines += ["", f"A source chosen by lot has a regret of {best - random:.3f}.", ""]
    lines += ["Mean accuracy, from the variant of the row to that of the column:", ""]
    lines += ["| | " + " | ".join(VARIANTS) + " |", "|---" * (len(VARIANTS) + 1) + "|"]
    for name, row in zip(VARIANTS, accuracies.mean(axis=0), strict=True):
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return "\n".join([*lines, ""])
