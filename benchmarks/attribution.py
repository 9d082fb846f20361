"""Planted images: which scores find them, among the images of a dataset that differs because of them."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Row
from benchmarks.pictures import CORRUPTIONS, Measured, blobs, corrupted, crops, digits, measure, png, ranges_of
from benchmarks.world import World
from dna_pipelines.analysis.images.attribution import _POOLED_BINS, _POOLED_ERRORS, IN_DETAIL
from dna_pipelines.comparison.influence import more_than_chance, of_pooled, potential, unit_counts
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
    base = [png(one) for one in make(N_REFERENCE + max(n for n, _ in SCENARIOS.values()))]
    ranges = ranges_of(extractor, base[:200])
    measured = measure(extractor, ranges, base)
    sources = make(N_PLANTED)
    planted = {kind: [corrupted(one, kind, rng) for one in sources] for kind in CORRUPTIONS}
    planted |= {
        kind: digits(N_PLANTED) if kind == "digits" else crops(kind, N_PLANTED, rng) for kind in FOREIGN if kind != name
    }
    shifted = {kind: measure(extractor, ranges, [png(one) for one in images]) for kind, images in planted.items()}
    what = f"{name}: " + "{}, mean over {} kinds"
    rows = []
    for scenario, (n_clean, n_planted) in SCENARIOS.items():
        found: dict[str, dict[str, tuple[float, float, float]]] = {}
        for kind, images in shifted.items():
            reference, clean = measured[:N_REFERENCE], measured[N_REFERENCE : N_REFERENCE + n_clean]
            for score, values in _scores(images[:n_planted] + clean, reference, rng).items():
                found.setdefault(score, {})[kind] = _found(values, n_planted, rng)
        ours, peer = found.pop("in detail"), found.pop("distance from the mean")
        rows.append(
            Row(
                what.format(scenario, len(shifted)) + ": precision (= recall) among as many as were planted",
                f"{_mean(ours, 0):.2f}; in twice as many a recall of {_mean(ours, 1):.2f}; in half as many a "
                f"precision of {_mean(ours, 2):.2f}",
                f"{_mean(peer, 0):.2f}; {_mean(peer, 1):.2f}; {_mean(peer, 2):.2f} (distance of the averages from "
                "the reference's mean, neurons in their spread)",
                f"{_mean(ours, 0) - _mean(peer, 0):+.2f}",
                "> 0",
                _mean(ours, 0) > _mean(peer, 0),
                "ours by kind: " + ", ".join(f"{kind} {value[0]:.1f}" for kind, value in ours.items()),
            )
        )
        others = "; ".join(f"{score} {_mean(values, 0):.2f}" for score, values in found.items())
        rows.append(Row(f"{name}: {scenario}, other scores", others, "", ""))
    return rows


def _scores(a: Measured, b: Measured, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What every score says of a's images. Blocks are dealt anew, as digests would deal them."""
    blocks = [rng.integers(0, N_BLOCKS, len(side.pooled)) for side in (a, b)]
    coarse = [_coarse(side, dealt) for side, dealt in zip((a, b), blocks, strict=True)]
    sums = [side.counts.sum(axis=0, dtype=np.uint64) for side in (a, b)]
    n_bins = sums[0].shape[1]
    counted = more_than_chance(*coarse, n_bins)
    detailed = _contributions(a, potential(*sums, counted if counted.any() else None))
    plain = _contributions(a, potential(*sums))
    averages = [
        unit_counts(side.pooled, _POOLED_BINS, dealt, N_BLOCKS) for side, dealt in zip((a, b), blocks, strict=True)
    ]
    beyond = more_than_chance(*averages, _POOLED_BINS, _POOLED_ERRORS)
    totals = [one.sum(axis=1) for one in averages]
    pooled = of_pooled(a.pooled, potential(*totals, beyond if beyond.any() else None))
    # What `attribute` does: the first ones by their averages are looked at in detail, the others stay behind them.
    chosen = np.argsort(-pooled, kind="stable")[:IN_DETAIL]
    both = pooled - pooled.max() + detailed.min() - 1
    both[chosen] = detailed[chosen]
    spread = b.pooled.std(axis=0)
    far = (a.pooled - b.pooled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return {
        "in detail": both,
        "all in detail": detailed,
        "averages alone": pooled,
        "plain influence, chance and all": plain,
        "log ratio": log_ratio(a.pooled, a.pooled, b.pooled, own=True),
        "rarity (NAC)": rarity(a.pooled, b.pooled),
        "5th nearest": nearest(a.pooled, b.pooled),
        "distance from the mean": np.sqrt((far**2).sum(axis=1)),
    }


def _coarse(side: Measured, blocks: np.ndarray) -> np.ndarray:
    n_images, n_neurons, _ = side.counts.shape
    coarse = side.counts.reshape(n_images, n_neurons, COARSE_BINS, -1).sum(axis=3, dtype=np.uint64)
    found = np.zeros((N_BLOCKS, n_neurons, COARSE_BINS), np.uint64)
    np.add.at(found, blocks, coarse)
    return found.transpose(1, 0, 2)


def _contributions(side: Measured, potentials: np.ndarray) -> np.ndarray:
    n_values = side.counts[0].sum(axis=1, dtype=np.float64)
    return np.array([(np.einsum("db,db->d", one.astype(float), potentials) / n_values).mean() for one in side.counts])


def _found(values: np.ndarray, n_planted: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Precision among as many as were planted, recall among twice as many, precision among half; ties by lot."""
    lot = rng.permutation(len(values))
    order = lot[np.argsort(-values[lot], kind="stable")]
    hits = order < n_planted
    half = n_planted // 2
    return hits[:n_planted].mean(), hits[: 2 * n_planted].sum() / n_planted, hits[:half].mean()


def _mean(values: dict[str, tuple[float, float, float]], place: int) -> float:
    return float(np.mean([value[place] for value in values.values()]))
