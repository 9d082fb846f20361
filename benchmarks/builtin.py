"""The embedded extractor against pixels alone, random weights and scattering: unseen formulas, real images, speed."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks import families, shifts
from benchmarks.eyes import Eye, emd, open_eyes
from benchmarks.measure import Row
from benchmarks.world import World
from dna_pipelines.comparison.cumulative import cumulative, pairwise_l1
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.networks.builtin import NAME

SEEDS = (0, 1, 2)
N_IMAGES, N_PARTS = 80, 8
"""Images of a class, and the parts they are split into. A half is four parts, which gives 35 pairs of halves."""

LEAST_RATIO, LEAST_RIGHT, LEAST_RIGHT_IN_COLOUR = 4.5, 0.95, 0.85
LEAST_SPEED = 200
N_OF_A_SET = 8
N_TILES_EACH = 8

OTHER_WEIGHTS = "DNA_BENCHMARK_BUILTIN"
"""A folder with other weights of the extractor, such as those of a training that is still running."""


@dataclass(frozen=True)
class Separation:
    """How well the classes of one seed are separated.

    Attributes:
        ratios: of all pairs, the EMD between two classes as a multiple of that between halves of a class.
        right: share of single images whose nearest class is theirs.
    """

    ratios: np.ndarray
    right: float


def run(_world: World) -> list[Row]:
    return [*_formulas(), *_real_images(), *_speed()]


def _formulas() -> list[Row]:
    rows = []
    for palettes, least in ((False, LEAST_RIGHT), (True, LEAST_RIGHT_IN_COLOUR)):
        separations: dict[str, list[Separation]] = {}
        for seed in SEEDS:
            images = {name: families.draw(name, N_IMAGES, seed, palettes=palettes) for name in families.FAMILIES}
            for eye in _eyes(np.concatenate([some[::8] for some in images.values()])):
                separations.setdefault(eye.name, []).append(separation(eye, list(images.values())))
        what = f"{len(families.FAMILIES)} unseen formulas, {'random palettes' if palettes else 'grey'}"
        rows += _separation_rows(what, separations, least, with_target=not palettes)
    return rows


def _separation_rows(
    what: str, separations: dict[str, list[Separation]], least_right: float, *, with_target: bool
) -> list[Row]:
    """A row for the ratios and a row for single images, of the worst seed."""
    ratio = {name: min(seed.ratios.min() for seed in seeds) for name, seeds in separations.items()}
    median = {name: min(float(np.median(seed.ratios)) for seed in seeds) for name, seeds in separations.items()}
    right = {name: min(seed.right for seed in seeds) for name, seeds in separations.items()}
    mine, others = NAME, [name for name in separations if name != NAME]
    best = max(ratio[name] for name in others), max(right[name] for name in others)
    pair = Row(
        f"{what}: EMD between classes as a multiple of that of halves of a class, smallest / median pair",
        f"{ratio[mine]:.2f} / {median[mine]:.2f}",
        "; ".join(f"{name} {ratio[name]:.2f} / {median[name]:.2f}" for name in others),
        f"{ratio[mine] / best[0]:.2f}",
        f"least >= {LEAST_RATIO}, best of all" if with_target else "best of all",
        ratio[mine] > best[0] and (ratio[mine] >= LEAST_RATIO or not with_target),
        f"worst of {len(SEEDS)} seeds; all: {', '.join(f'{seed.ratios.min():.2f}' for seed in separations[mine])}",
    )
    single = Row(
        f"{what}: single images whose nearest class is theirs",
        f"{right[mine]:.3f}",
        "; ".join(f"{name} {right[name]:.3f}" for name in others),
        f"{right[mine] / best[1]:.2f}",
        f">= {least_right}, best of all",
        right[mine] >= least_right and right[mine] > best[1],
        f"worst of {len(SEEDS)} seeds; all: {', '.join(f'{seed.right:.3f}' for seed in separations[mine])}",
    )
    return [pair, single]


def separation(eye: Eye, classes: list[np.ndarray]) -> Separation:
    """The separation of classes by their DNAs. A single image is compared with the halves that do not contain it."""
    parts, singles = [], []
    for some in classes:
        # The counts of an image fit into 16 bits; 64 bits would take gigabytes.
        each = np.stack([counts.astype(np.uint16) for counts in eye.each(some)])
        singles.append(each)
        parts.append([each[part::N_PARTS].sum(0, dtype=np.uint32) for part in range(N_PARTS)])
    wholes = cumulated([_sum(some) for some in parts])
    own = np.array([halves(some) for some in parts])
    a, b = np.array(list(itertools.combinations(range(len(classes)), 2))).T
    between, within = pairwise_l1(wholes, wholes, a, b).mean(1), (own[a] + own[b]) / 2
    # An extractor without any response does not separate classes.
    ratios = np.where(within > 0, between / np.where(within > 0, within, 1), 1.0)
    n_right = 0
    for half in (0, 1):
        # Image i of a class is in part i % N_PARTS, so even parts against odd ones.
        others = cumulated([_sum(some[1 - half :: 2]) for some in parts])
        for label, each in enumerate(singles):
            mine = [counts for index, counts in enumerate(each) if index % N_PARTS % 2 == half]
            n_right += sum(nearest(counts, others) == label for counts in mine)
    return Separation(ratios, n_right / sum(map(len, classes)))


def halves(parts: list[np.ndarray]) -> float:
    """The mean EMD of two halves, over all ways to split the parts."""
    whole, distances = set(range(len(parts))), []
    for some in itertools.combinations(range(1, len(parts)), len(parts) // 2):
        left, right = ([parts[index] for index in chosen] for chosen in (some, sorted(whole - set(some))))
        distances.append(emd(_sum(left), _sum(right)))
    return float(np.mean(distances))


def cumulated(dnas: list[np.ndarray]) -> np.ndarray:
    """(n_dnas, n_neurons, n_bins) cumulative distributions, for repeated comparisons."""
    return np.stack([cumulative(counts) for counts in dnas])


def nearest(image: np.ndarray, classes: np.ndarray) -> int:
    """The class whose DNA is closest, in the mean EMD of all neurons."""
    mine = cumulative(image.astype(np.uint64))[None]
    return int(pairwise_l1(mine, classes, np.zeros(len(classes), int), np.arange(len(classes))).mean(1).argmin())


def _sum(parts: list[np.ndarray]) -> np.ndarray:
    return np.sum(parts, axis=0, dtype=np.uint64)


def _eyes(images: np.ndarray) -> list[Eye]:
    folder = os.environ.get(OTHER_WEIGHTS)
    return open_eyes(images, Path(folder) if folder else None)


def _real_images() -> list[Row]:
    try:
        tiles = shifts.tiles(N_TILES_EACH)
    except ImportError:
        print("scikit-learn or scikit-image is missing: pip install 'dna_pipelines[demo]'")
        return []
    pixels, labels, values = shifts.digits()
    eyes = _eyes(np.concatenate([tiles[::3], pixels[::20]]))
    clipped = {eye.name: eye.histogram(np.concatenate([tiles, pixels[::4]])).clipped_share for eye in eyes}
    rows = _digit_rows(eyes, pixels, labels, values)
    unchanged = {eye.name: [eye.counts(tiles[part::N_PARTS]) for part in range(N_PARTS)] for eye in eyes}
    rows += [_shift_row(eyes, unchanged, tiles, shift) for shift in shifts.SHIFTS]
    share = clipped[NAME]
    return [*rows, Row("real images: activations outside the ranges", f"{share:.4%}", "", "", "< 0.1%", share < 1e-3)]


def _digit_rows(eyes: list[Eye], pixels: np.ndarray, labels: np.ndarray, values: np.ndarray) -> list[Row]:
    """Digits: sets of images against classes, and whether close classes are the ones that get confused."""
    right, rank = {}, {}
    confused = confusion(values, labels)
    for eye in eyes:
        known = cumulated([eye.counts(pixels[labels == digit][0::2]) for digit in range(10)])
        n_right = n_sets = 0
        for digit in range(10):
            others = pixels[labels == digit][1::2]
            for start in range(0, len(others) - N_OF_A_SET + 1, N_OF_A_SET):
                n_right += nearest(eye.counts(others[start : start + N_OF_A_SET]), known) == digit
                n_sets += 1
        right[eye.name] = n_right / n_sets
        a, b = np.array(list(itertools.combinations(range(10), 2))).T
        rank[eye.name] = spearman(-pairwise_l1(known, known, a, b).mean(1), confused[a, b])
    return [
        _against(f"digits: sets of {N_OF_A_SET} images whose nearest class is theirs", right, "{:.3f}"),
        _against("digits: rank correlation of closeness and confusion by logistic regression", rank, "{:+.2f}"),
    ]


def confusion(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(10, 10) symmetric: the mean probability that a classifier of pixels gives the other of two digits."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    classifier = LogisticRegression(max_iter=400, C=0.01)
    given = cross_val_predict(classifier, values / 16, labels, cv=5, method="predict_proba")
    mean = np.stack([given[labels == digit].mean(0) for digit in range(10)])
    return mean + mean.T


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of ranks."""
    ranks = [values.argsort().argsort() for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def _against(what: str, values: dict[str, float], written: str) -> Row:
    """The embedded extractor against the others; it has to be the best."""
    others = {name: value for name, value in values.items() if name != NAME}
    theirs = "; ".join(f"{name} {written.format(value)}" for name, value in others.items())
    mine, best = values[NAME], max(others.values())
    return Row(what, written.format(mine), theirs, f"{mine / best:.2f}", "best of all", mine > best)


def _shift_row(eyes: list[Eye], unchanged: dict[str, list[np.ndarray]], tiles: np.ndarray, shift: str) -> Row:
    """Tiles against the same tiles changed, step by step; the first step whose EMD exceeds that of halves."""
    seen = {eye.name: graded(eye, unchanged[eye.name], tiles, shift) for eye in eyes}
    strengths, written = shifts.SHIFTS[shift][1:]

    def first(multiples: list[float]) -> int:
        return next((step for step, value in enumerate(multiples) if value > 1), len(strengths))

    def name_of(step: int) -> str:
        return written.format(strengths[step]) if step < len(strengths) else "none"

    mine = seen[NAME]
    others = {name: values for name, values in seen.items() if name != NAME}
    rising = all(a < b for a, b in itertools.pairwise(mine))
    return Row(
        f"photographs, {shift}: first step of {len(strengths)} whose EMD exceeds that of halves",
        f"{name_of(first(mine))}",
        "; ".join(f"{name} {name_of(first(values))}" for name, values in others.items()),
        "",
        "grows with every step",
        rising,
        f"as multiples of halves: {', '.join(f'{value:.2f}' for value in mine)}"
        + "".join(f"; {name} {', '.join(f'{value:.2f}' for value in values)}" for name, values in others.items()),
    )


def graded(eye: Eye, unchanged: list[np.ndarray], tiles: np.ndarray, shift: str) -> list[float]:
    """The EMD of every step, as a multiple of that between halves of the unchanged tiles, whose parts are given."""
    whole, own = _sum(unchanged), halves(unchanged)
    steps = range(len(shifts.SHIFTS[shift][1]))
    return [emd(whole, eye.counts(shifts.shifted(tiles, shift, step))) / own for step in steps]


def _speed() -> list[Row]:
    """Images a second of one core's time, from pixels to counts: processor time, whatever else runs."""
    images = families.draw("marble", 64, 9, palettes=True)
    eyes = {eye.name: eye for eye in _eyes(images)}
    tasks = {name: lambda eye=eye: eye.counts(images) for name, eye in eyes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*tasks, "vit")}
    with reproducible():
        tasks["vit"] = _vit()
        for _ in range(6):
            for name, task in tasks.items():
                started = time.process_time()
                task()
                seconds[name].append(time.process_time() - started)
    # The first round compiles.
    median = {name: float(np.median(some[1:])) for name, some in seconds.items()}
    speed = {name: len(images) / median[name] for name in eyes}
    vit_speed = _VIT_IMAGES / median["vit"]
    others = "; ".join(f"{name} {value:.0f}" for name, value in speed.items() if name != NAME)
    return [
        Row(
            "images a second on one core, from pixels to counts",
            f"{speed[NAME]:.0f}",
            f"ViT-S/16 at 224 px (forward pass alone) {vit_speed:.1f}; {others}",
            f"{speed[NAME] / vit_speed:.0f}",
            f">= {LEAST_SPEED}",
            speed[NAME] >= LEAST_SPEED,
        )
    ]


_VIT_IMAGES = 4


def _vit():
    """ViT-S/16 with random weights on a few images."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
    model, inputs = ViTModel(config).eval(), torch.randn(_VIT_IMAGES, 3, 224, 224)

    def forward() -> object:
        with torch.inference_mode():
            return model(inputs)

    return forward
