"""P2: how often each rule finds a difference between two samples of images, at 5 % false alarms.

A pool of photographs' tiles is measured once as it is and once changed. Every trial draws images without replacement:
some for one side as they are, others for the other side as they were changed. All rules permute 99 times or have a
p-value of their own, at a level of 5 %; the row *nothing* shows how often each is wrong. The strengths of changes were
fixed on other pools, so that the power of the rules is neither 0 nor 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.pictures import crops
from benchmarks.protocols.damage import WORDS, damaged
from benchmarks.protocols.detectors import ks_means, ours
from benchmarks.protocols.pools import CHUNK, Looker, Pool
from benchmarks.protocols.textures import wilson_interval
from benchmarks.protocols.two_samples import fd, mmd, permuted_weights, rejects, sliced, standardised, unit_directions
from benchmarks.protocols.viewed import NEURONS, WHITENED
from benchmarks.shifts import photographs, tiles

HERE = Path(__file__).parent
N_POOL, N_TRIALS, N_PERMUTATIONS, N_DIRECTIONS = 1024, 200, 99, 64
SIZES = ("100x100", "40x400")
NOTHING, OTHERS, DEPENDENCE = "nothing", "other images", "dependence"
STRENGTHS = {
    "builtin": {
        "noise": 3.5, "blur": 0.6, "brightness": 30, "contrast": 0.87, "JPEG": 65, "occlusion": 15, OTHERS: 0.1,
    },
    "scattering": {
        "noise": 1.2, "blur": 0.5, "brightness": 24, "contrast": 0.8, "JPEG": 95, "occlusion": 16, OTHERS: 0.1,
    },
}  # fmt: skip
RULES = {
    "p": "p",
    "mean": "mean distance",
    "any": "any neuron",
    "p whitened": "p, `whitened`",
    "mean whitened": "mean, `whitened`",
    "any whitened": "any, `whitened`",
    "ks": "KS + Bonferroni",
    "mmd": "MMD",
    "fd": "FD",
    "sliced": "sliced W1",
}
OURS, PEERS = tuple(RULES)[:6], tuple(RULES)[6:]
NEAR = 0.05
"""By how much the best peer may exceed the best of ours."""


@dataclass(frozen=True)
class Shift:
    """What is done to one side: a change and how strong it is."""

    name: str
    strength: float = 0.0

    def __str__(self) -> str:
        strength = WORDS[self.name].format(self.strength) if self.name in WORDS else ""
        strength = f"{self.strength:.0%} of them" if self.name == OTHERS else strength
        return f"{self.name}, {strength}" if strength else self.name

    def changed(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The images of the other side."""
        if self.name in (NOTHING, DEPENDENCE):
            return images
        if self.name != OTHERS:
            return damaged(images, self.name, self.strength, seed=int(rng.integers(2**31)))
        replaced = np.flatnonzero(rng.random(len(images)) < self.strength)
        mixed = images.copy()
        mixed[replaced] = np.stack(crops("gravel", len(replaced), rng))
        return mixed


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols power", description=__doc__)
    parser.add_argument("--extractor", default="builtin", choices=STRENGTHS)
    parser.add_argument("--images", type=int, default=N_POOL, help="in a pool")
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="of each shift and size")
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="images of the changed side and of the other")
    parser.add_argument("--shifts", nargs="+", help="NAME or NAME=STRENGTH, instead of all; prints only")
    parser.add_argument("--seed", type=int, default=0, help="of the pool; another one prints only")
    parser.add_argument("--cache", type=Path, help="a folder for what was measured")
    parser.add_argument("--quick", action="store_true", help="a small pool and few trials, to see that it works")
    parser.add_argument("--into", type=Path, help="the table; by default beside this module")
    chosen = parser.parse_args(options)
    if chosen.quick:
        chosen.images, chosen.trials = 7 * CHUNK, 4
        chosen.shifts = chosen.shifts or [NOTHING, "noise", DEPENDENCE]
    torch.set_num_threads(1)
    rows = []
    for shift, n_a, n_b, alarms in measured(chosen):
        rows.append((shift, n_a, n_b, alarms))
        print(_line(*rows[-1]), flush=True)
    table = _markdown(chosen, rows)
    if chosen.quick or chosen.shifts or chosen.seed:
        print(table)
        return
    (chosen.into or HERE / f"RESULTS-power-{chosen.extractor}.md").write_text(table, encoding="utf-8")


def measured(chosen: argparse.Namespace) -> Iterator[tuple[Shift, int, int, np.ndarray]]:
    """Of every shift and size, (n_trials, n_rules) whether each rule alarms."""
    started = time.monotonic()
    images = tiles(-(-chosen.images // len(photographs())), seed=chosen.seed)[: chosen.images]
    calibration = tiles(12, seed=chosen.seed + 1000)
    looker = Looker(chosen.extractor, calibration, (WHITENED,), chosen.cache)
    clean = looker.look(images)
    print(f"{len(images)} images after {time.monotonic() - started:.0f} s", flush=True)
    for number, shift in enumerate(shifts(chosen)):
        rng = np.random.default_rng([chosen.seed, number])
        changed = clean
        if shift.name != NOTHING:
            changed = looker.look(shift.changed(images, rng), exchanged=shift.name == DEPENDENCE)
        for n_a, n_b in sizes(chosen):
            alarms = [trial(changed, clean, *drawn(len(images), n_a, n_b, rng), rng) for _ in range(chosen.trials)]
            print(f"{shift}: {time.monotonic() - started:.0f} s", flush=True)
            yield shift, n_a, n_b, np.array(alarms)


def shifts(chosen: argparse.Namespace) -> list[Shift]:
    """Those that were asked for, else all, with nothing first."""
    known = STRENGTHS[chosen.extractor]
    if chosen.shifts:
        asked = [text.partition("=") for text in chosen.shifts]
        return [Shift(name, float(strength or known.get(name, 0))) for name, _, strength in asked]
    return [Shift(NOTHING), *(Shift(name, strength) for name, strength in known.items()), Shift(DEPENDENCE)]


def sizes(chosen: argparse.Namespace) -> list[tuple[int, int]]:
    """Images of either side."""
    pairs = [text.split("x") for text in chosen.sizes]
    return [(int(n_a), int(n_b)) for n_a, n_b in pairs]


def drawn(n_images: int, n_a: int, n_b: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both sides, from different chunks: where neurons are exchanged, a chunk's images share theirs."""
    order = rng.permutation(n_images // CHUNK)
    half = len(order) // 2
    sides = ((order[:half], n_a), (order[half:], n_b))
    return tuple(
        rng.choice((chunks[:, None] * CHUNK + np.arange(CHUNK)).ravel(), n, replace=False) for chunks, n in sides
    )


def trial(a: Pool, b: Pool, rows_a: np.ndarray, rows_b: np.ndarray, rng: np.random.Generator) -> list[bool]:
    """Whether each rule alarms about these images."""
    alarms: list[bool] = []
    for view in (NEURONS, WHITENED):
        samples = a.sample(view, rows_a), b.sample(view, rows_b)
        decision = ours(*samples, rng, N_PERMUTATIONS)
        if decision is None:
            raise ValueError("sides of these sizes cannot be tested")
        alarms.extend(decision)
    alarms.append(ks_means(*samples, rng))
    features = standardised(np.concatenate([a.pooled[rows_a], b.pooled[rows_b]]).astype(float))
    weights = permuted_weights(len(rows_a), len(rows_b), N_PERMUTATIONS, rng)
    directions = unit_directions(N_DIRECTIONS, features.shape[1], rng)
    statistics = mmd(features, weights), fd(features, weights), sliced(features, weights, directions)
    return [*alarms, *(rejects(values) for values in statistics)]


def lead(alarms: np.ndarray) -> tuple[str, str, float, float]:
    """The best of ours, the best peer, the difference of their power, and half of its 95 % interval."""
    power = alarms.mean(axis=0)
    best, peer = int(power[: len(OURS)].argmax()), len(OURS) + int(power[len(OURS) :].argmax())
    differences = alarms[:, best].astype(float) - alarms[:, peer]
    half = 1.96 * differences.std(ddof=1) / len(alarms) ** 0.5
    return tuple(RULES)[best], tuple(RULES)[peer], float(differences.mean()), float(half)


def _line(shift: Shift, n_a: int, n_b: int, alarms: np.ndarray) -> str:
    return f"{shift}, {n_a} against {n_b}: " + ", ".join(
        f"{name} {share:.2f}" for name, share in zip(RULES, alarms.mean(axis=0), strict=True)
    )


def _cell(hits: np.ndarray) -> str:
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return f"{100 * hits.mean():.0f} ({100 * low:.0f}–{100 * high:.0f})"


def _markdown(chosen: argparse.Namespace, rows: list[tuple[Shift, int, int, np.ndarray]]) -> str:
    command = f"--extractor {chosen.extractor} --images {chosen.images} --trials {chosen.trials}"
    if tuple(chosen.sizes) != SIZES:
        command += f" --sizes {' '.join(chosen.sizes)}"
    lines = [
        f"# P2: power, {chosen.extractor}",
        "",
        f"Written by `python -m benchmarks.protocols power {command}`.",
        f"Shares in percent of {chosen.trials} trials in which a rule finds a difference at 5 %, with 95 %",
        "intervals (Wilson). One side was changed; where sizes differ, the smaller one.",
        "",
        "- Ours: the blocks of both fingerprints permuted (64 blocks by digest), on the network's own neurons and",
        "  on the view `whitened`; the mean distance, any neuron (max statistic), and the p of `dna compare`,",
        f"  which combines both. {N_PERMUTATIONS} permutations.",
        "- Peers: on image means of all neurons; all but KS standardised, and images permuted as often. MMD has a",
        f"  Gaussian kernel as wide as the median, sliced W1 {N_DIRECTIONS} directions.",
        "- *dependence*: every neuron's maps are exchanged between images, which leaves all neurons as they are.",
        f"- Target: the best of ours at least the best peer − {NEAR:g}.",
        *(f"- {fact}" for fact in machine()),
        "",
    ]
    for n_a, n_b in sizes(chosen):
        lines += [f"## {n_a} against {n_b} images", ""]
        lines += ["| changed | " + " | ".join(RULES.values()) + " | best of ours − best peer | |"]
        lines.append("|---" * (len(RULES) + 3) + "|")
        for shift, of_a, of_b, alarms in rows:
            if (of_a, of_b) != (n_a, n_b):
                continue
            cells = [_cell(hits) for hits in alarms.T]
            if shift.name == NOTHING:
                cells += ["–", ""]
            else:
                best, peer, gap, half = lead(alarms)
                outcome = "met" if gap >= -NEAR else "**missed**"
                cells += [f"{100 * gap:+.0f} ± {100 * half:.0f} ({RULES[best]}, {RULES[peer]})", outcome]
            lines.append(f"| {shift} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
