"""Planted images: which scores find them among the images of a dataset that differs because of them."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Row
from benchmarks.pictures import CORRUPTIONS, Measured, blobs, corrupted, crops, digits, measure, png, ranges_of
from benchmarks.world import World
from dna_pipelines.analysis.images.attribution import FEATURE_BINS, FEATURE_ERRORS, IN_DETAIL
from dna_pipelines.comparison.influence import of_pooled, potential, significant_bins, unit_counts
from dna_pipelines.comparison.scores import log_ratio, nearest, rarity
from dna_pipelines.distributions import COARSE_BINS
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.identity import N_BLOCKS

N_REFERENCE, N_PLANTED = 300, 40
SCENARIOS = {
    "10 of 400 images": (390, 10),
    "40 of 400 images": (360, 40),
    "10 of 40 added images": (30, 10),
}
FOREIGN = ("gravel", "chelsea", "digits")


def run(_world: World) -> list[Row]:
    return [row for name in ("coffee", "blobs") for row in _rows(name)]


def _rows(name: str) -> list[Row]:
    rng = np.random.default_rng(5)

    def make(n_images: int) -> list[np.ndarray]:
        return blobs(n_images, rng) if name == "blobs" else crops(name, n_images, rng)

    extractor = load_extractor("seeded_cnn")
    base = [png(image) for image in make(N_REFERENCE + max(n for n, _ in SCENARIOS.values()))]
    ranges = ranges_of(extractor, base[:200])
    measured = measure(extractor, ranges, base)
    sources = make(N_PLANTED)
    planted = {kind: [corrupted(image, kind, rng) for image in sources] for kind in CORRUPTIONS}
    planted |= {
        kind: digits(N_PLANTED) if kind == "digits" else crops(kind, N_PLANTED, rng) for kind in FOREIGN if kind != name
    }
    shifted = {kind: measure(extractor, ranges, [png(image) for image in images]) for kind, images in planted.items()}
    what = f"{name}: " + "{}, mean over {} kinds"
    rows = []
    for scenario, (n_clean, n_planted) in SCENARIOS.items():
        precision: dict[str, dict[str, tuple[float, float, float]]] = {}
        for kind, images in shifted.items():
            reference, clean = measured[:N_REFERENCE], measured[N_REFERENCE : N_REFERENCE + n_clean]
            for score, values in _scores(images[:n_planted] + clean, reference, rng).items():
                precision.setdefault(score, {})[kind] = _precision_recall(values, n_planted, rng)
        ours, peer = precision.pop("in detail"), precision.pop("distance from the mean")
        rows.append(
            Row(
                what.format(scenario, len(shifted)) + ": precision (= recall) among as many as were planted",
                f"{_mean(ours, 0):.2f}; in twice as many a recall of {_mean(ours, 1):.2f}; in half as many a "
                f"precision of {_mean(ours, 2):.2f}",
                f"{_mean(peer, 0):.2f}; {_mean(peer, 1):.2f}; {_mean(peer, 2):.2f} (distance of the features from "
                "the reference's mean, in standard deviations of each neuron)",
                f"{_mean(ours, 0) - _mean(peer, 0):+.2f}",
                "> 0",
                _mean(ours, 0) > _mean(peer, 0),
                "ours by kind: " + ", ".join(f"{kind} {value[0]:.1f}" for kind, value in ours.items()),
            )
        )
        others = "; ".join(f"{score} {_mean(values, 0):.2f}" for score, values in precision.items())
        rows.append(Row(f"{name}: {scenario}, other scores", others, "", ""))
    return rows


def _scores(a: Measured, b: Measured, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """By score, its values for a's images. Blocks are drawn at random, as digests would assign them."""
    blocks = [rng.integers(0, N_BLOCKS, len(side.pooled)) for side in (a, b)]
    coarse = [_coarse(side, block) for side, block in zip((a, b), blocks, strict=True)]
    sums = [side.counts.sum(axis=0, dtype=np.uint64) for side in (a, b)]
    n_bins = sums[0].shape[1]
    significant = significant_bins(*coarse, n_bins)
    detailed = _contributions(a, potential(*sums, significant if significant.any() else None))
    whole = _contributions(a, potential(*sums))
    features = [
        unit_counts(side.pooled, FEATURE_BINS, block, N_BLOCKS) for side, block in zip((a, b), blocks, strict=True)
    ]
    significant_features = significant_bins(*features, FEATURE_BINS, FEATURE_ERRORS)
    totals = [counts.sum(axis=1) for counts in features]
    pooled = of_pooled(a.pooled, potential(*totals, significant_features if significant_features.any() else None))
    # As in `attribute`: the first images by their features are extracted again, and the others rank behind them.
    chosen = np.argsort(-pooled, kind="stable")[:IN_DETAIL]
    both = pooled - pooled.max() + detailed.min() - 1
    both[chosen] = detailed[chosen]
    spread = b.pooled.std(axis=0)
    far = (a.pooled - b.pooled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return {
        "in detail": both,
        "all in detail": detailed,
        "features alone": pooled,
        "whole EMD, with all signs": whole,
        "log ratio": log_ratio(a.pooled, a.pooled, b.pooled, own=True),
        "rarity (NAC)": rarity(a.pooled, b.pooled),
        "5th nearest": nearest(a.pooled, b.pooled),
        "distance from the mean": np.sqrt((far**2).sum(axis=1)),
    }


def _coarse(side: Measured, blocks: np.ndarray) -> np.ndarray:
    n_images, n_neurons, _ = side.counts.shape
    coarse = side.counts.reshape(n_images, n_neurons, COARSE_BINS, -1).sum(axis=3, dtype=np.uint64)
    by_block = np.zeros((N_BLOCKS, n_neurons, COARSE_BINS), np.uint64)
    np.add.at(by_block, blocks, coarse)
    return by_block.transpose(1, 0, 2)


def _contributions(side: Measured, potentials: np.ndarray) -> np.ndarray:
    n_values = side.counts[0].sum(axis=1, dtype=np.float64)
    return np.array(
        [(np.einsum("db,db->d", counts.astype(float), potentials) / n_values).mean() for counts in side.counts]
    )


def _precision_recall(values: np.ndarray, n_planted: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Precision among as many as were planted, recall among twice as many, precision among half; ties at random."""
    lot = rng.permutation(len(values))
    order = lot[np.argsort(-values[lot], kind="stable")]
    hits = order < n_planted
    half = n_planted // 2
    return hits[:n_planted].mean(), hits[: 2 * n_planted].sum() / n_planted, hits[:half].mean()


def _mean(values: dict[str, tuple[float, float, float]], index: int) -> float:
    return float(np.mean([value[index] for value in values.values()]))
