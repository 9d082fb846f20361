"""P9: a stream of daily batches that begins to drift: how late each rule alarms, at one rate of false alarms.

A population of cuts of photographs, each also in rising degrees of blur, noise and brightness, is measured once. A
stream has a reference of its own and a batch for every day, all drawn from the population, one by one and with
replacement. From day 1 on its images change a little more each day. Every rule turns a day into a number; its limit is
that which streams without drift exceed on one day in a hundred, so no rule gains by alarming more often. What the
product's own p-value of at most 1 % alarms about, without any calibration, is a row of its own.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import machine
from benchmarks.protocols.detectors import ks_statistics
from benchmarks.protocols.feature_distances import bell, unbiased
from benchmarks.protocols.seen import Seen, Sight
from benchmarks.protocols.textures import wilson
from benchmarks.protocols.two_samples import gaussian_kernel, median_width, squares
from benchmarks.shifts import PX, SHIFTS, photographs, shifted
from dna_pipelines.comparison import fd
from dna_pipelines.comparison.multiplicity import exceedance_p
from dna_pipelines.comparison.permutation import permute, permuted_distances, units_of
from dna_pipelines.identity import N_BLOCKS

HERE = Path(__file__).parent
N_TILES, N_REFERENCE, N_DAYS, N_PERMUTATIONS = 330, 400, 25, 199
N_NULL, N_STREAMS = 40, 16
"""Streams without drift, and of each kind of drift."""
SIZES = (40, 100)
KINDS = ("blur", "noise", "brightness")
N_STEPS, MIX = 4, "class mix"
"""Degrees of each kind (of six), the last of them on the last day; and the drift to other photographs."""
RARE, OFTEN = 0.4, 2.5
"""How often photographs of two groups come at the end of a change of the mix, as a multiple of before."""
RATE = 0.01
RULES = {
    "mean": "EMD, mean of all neurons, by its permuted null",
    "layer": "EMD, the layer that is farthest out",
    "neuron": "EMD, the neuron that is farthest out",
    "moments": "largest difference of a neuron's means, in standard errors (moments that a DNA keeps)",
    "KS": "largest Kolmogorov-Smirnov distance of image means (Bonferroni)",
    "MMD": "MMD of image means, Gaussian kernel",
    "FD": "FD of image means",
    "p": "EMD, p at most 1 %, as it is (not calibrated)",
}


class Population:
    """Images by kind of drift and degree: `starts[kind][degree]` is where its tiles begin, in one order everywhere."""

    def __init__(self, sight: Sight, tiles: np.ndarray, groups: np.ndarray) -> None:
        parts, self.starts, n = [sight.see(tiles)], {}, len(tiles)
        for kind in KINDS:
            parts += [sight.see(shifted(tiles, kind, step)) for step in range(N_STEPS)]
            self.starts[kind] = [0, *((len(parts) - N_STEPS + step) * n for step in range(N_STEPS))]
        self.seen = Seen.joined(parts)
        self.n_tiles, self.groups = n, groups

    def draw(self, n: int, rng: np.random.Generator, kind: str | None = None, share: float = 0.0) -> np.ndarray:
        """Indices of n images, after a share (0 to 1) of a drift."""
        weights = np.ones(self.n_tiles)
        if kind == MIX:
            weights = 1 + share * (np.where(self.groups, OFTEN, RARE) - 1)
        tiles = rng.choice(self.n_tiles, n, p=weights / weights.sum())
        if kind in (None, MIX):
            return tiles
        # Between two degrees, some images have the lower one and the others the higher one.
        degree = share * N_STEPS
        lower = int(min(degree, N_STEPS - 1))
        degrees = lower + (rng.random(n) < degree - lower)
        return np.array(self.starts[kind])[degrees] + tiles


class Reference:
    """One sample of the population, in blocks, and its statistics that are computed once."""

    def __init__(self, population: Population, sight: Sight, rng: np.random.Generator) -> None:
        self._seen, self._features = population.seen, sight.features
        self._layers = list(sight.extractor.layers.slices.values())
        self._own = population.draw(N_REFERENCE, rng)
        self._counts, self._n = self._blocks(self._own, rng)
        means = self._seen.pooled[self._own]
        self._middle, self._spread = means.mean(axis=0), means.std(axis=0) + 1e-12
        self._bell = bell(means[:, self._features])
        self._z = self._scaled(self._own)
        self._width = median_width(self._z)
        self._kernel = gaussian_kernel(self._z, self._width)

    def day(self, batch: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
        """The statistic of every rule for a batch; larger is farther."""
        counts, n = self._blocks(batch, rng)
        units = units_of(self._n, n)
        permuted = permuted_distances(self._counts, counts, units, permute(units, N_PERMUTATIONS, rng))
        means = permuted.mean(axis=1)
        by_layer = np.stack([permuted[:, part].mean(axis=1) for part in self._layers], axis=1)
        z = self._scaled(batch)
        own, between = (np.exp(-squares(z, other) / self._width) for other in (z, self._z))
        return {
            "mean": float(_standard(means[:, None])[0]),
            "layer": float(_standard(by_layer).max()),
            "neuron": float(_standard(permuted).max()),
            "moments": self._moments(batch),
            "KS": self._ks(batch),
            "MMD": unbiased(self._kernel, own, between),
            "FD": fd(self._bell, bell(self._seen.pooled[batch][:, self._features])),
            "p": -exceedance_p(means),
        }

    def _blocks(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Counts (n_neurons, N_BLOCKS, bins) and images of random blocks."""
        return self._seen.in_blocks(rng.integers(0, N_BLOCKS, len(rows)), rows)

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        return ((self._seen.pooled[rows] - self._middle) / self._spread)[:, self._features].astype(float)

    def _moments(self, batch: np.ndarray) -> float:
        """Welch's t of every neuron, the largest."""
        means = self._seen.pooled[batch]
        error = self._spread**2 / N_REFERENCE + means.var(axis=0) / len(batch)
        return float((np.abs(means.mean(axis=0) - self._middle) / np.sqrt(error + 1e-24)).max())

    def _ks(self, batch: np.ndarray) -> float:
        """The largest of all neurons: with equal sizes, that of the smallest p."""
        values = np.concatenate([self._seen.pooled[self._own], self._seen.pooled[batch]])
        return float(ks_statistics(values, N_REFERENCE).max())


def _standard(permuted: np.ndarray) -> np.ndarray:
    """The first row, in standard deviations of all rows from their mean."""
    spread = permuted.std(axis=0)
    varies = spread > 1e-12
    return (permuted[0, varies] - permuted[:, varies].mean(axis=0)) / spread[varies]


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols drift", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--streams", type=int, default=N_STREAMS, help="of each kind of drift")
    parser.add_argument("--null", type=int, default=N_NULL, help="streams without drift")
    parser.add_argument("--quick", action="store_true", help="few images and streams; prints only")
    chosen = parser.parse_args(options)
    n_null, n_streams, n_tiles = (4, 2, 44) if chosen.quick else (chosen.null, chosen.streams, N_TILES)
    started, rng = time.monotonic(), np.random.default_rng(99)
    tiles, groups = _tiles(n_tiles)
    sight = Sight(chosen.extractor, tiles[:256])
    population = Population(sight, tiles, groups)
    print(f"{len(population.seen.pooled):,} images after {time.monotonic() - started:.0f} s", flush=True)
    lines = _head(chosen, n_null, n_streams)
    for size in SIZES[: 1 if chosen.quick else None]:
        null = [_stream(population, sight, size, None, rng) for _ in range(n_null)]
        print(f"{size} images a day, no drift, after {time.monotonic() - started:.0f} s", flush=True)
        limits = {rule: float(np.quantile([day[rule] for days in null for day in days], 1 - RATE)) for rule in RULES}
        limits["p"] = -RATE - 1e-9
        alarms = sum(day["p"] >= limits["p"] for days in null for day in days)
        delays: dict[str, dict[str, list[int]]] = {}
        for kind in (*KINDS, MIX):
            streams = [_stream(population, sight, size, kind, rng, limits) for _ in range(n_streams)]
            delays[kind] = {rule: [_delay(days, rule, limits[rule]) for days in streams] for rule in RULES}
            print(f"{size} images a day, {kind}, after {time.monotonic() - started:.0f} s", flush=True)
        lines += _table(size, delays, wilson(alarms, n_null * N_DAYS))
    minutes = (time.monotonic() - started) / 60
    table = "\n".join(lines)
    print(table)
    if not chosen.quick:
        results = HERE / f"RESULTS-drift-{chosen.extractor}.md"
        results.write_text("\n".join([table, *(f"- {fact}" for fact in machine()), f"- {minutes:.0f} minutes.", ""]))
        print(f"written to benchmarks/protocols/{results.name}")


def _tiles(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts of all photographs at half their size, and whether each belongs to the group that comes more often."""
    rng, cuts, groups = np.random.default_rng(12), [], []
    photos = photographs()
    for number, photo in enumerate(photos.values()):
        half = np.asarray(photo.resize((max(PX, photo.width // 2), max(PX, photo.height // 2))))
        for _ in range(n // len(photos)):
            row, column = rng.integers(0, half.shape[0] - PX + 1), rng.integers(0, half.shape[1] - PX + 1)
            cuts.append(half[row : row + PX, column : column + PX])
            groups.append(number % 2 == 0)
    order = rng.permutation(len(cuts))
    return np.stack(cuts)[order], np.array(groups)[order]


def _stream(population, sight, size, kind, rng, limits=None) -> list[dict[str, float]]:
    """The statistics of each day; with limits, until all rules have alarmed."""
    reference, days, waiting = Reference(population, sight, rng), [], set(RULES)
    for day in range(1, N_DAYS + 1):
        days.append(reference.day(population.draw(size, rng, kind, day / N_DAYS), rng))
        waiting -= {rule for rule in waiting if limits and days[-1][rule] >= limits[rule]}
        if not waiting:
            break
    return days


def _delay(days: list[dict[str, float]], rule: str, limit: float) -> int:
    """The first day with an alarm; the day after the last, where there was none."""
    return next((number for number, day in enumerate(days, 1) if day[rule] >= limit), N_DAYS + 1)


def _head(chosen: argparse.Namespace, n_null: int, n_streams: int) -> list[str]:
    ends = [f"{kind} at {SHIFTS[kind][2].format(SHIFTS[kind][1][N_STEPS - 1])}" for kind in KINDS]
    command = f"--extractor {chosen.extractor} --streams {n_streams} --null {n_null}"
    intro = (
        f"Written by `python -m benchmarks.protocols drift {command}`: batches against {N_REFERENCE} images. Drift "
        f"grows evenly for {N_DAYS} days, up to {', '.join(ends)}, or photographs of one group {OFTEN:g} times and of "
        f"the other {RARE:g} times as often. Limits are from {n_null * N_DAYS:,} days without drift, at {RATE:.0%} "
        f"false alarms a day. Mean delay in days (without an alarm it counts as {N_DAYS + 1}) and the 95 % interval of "
        f"a bootstrap over {n_streams} streams."
    )
    return [f"# P9: how late drift is noticed, {chosen.extractor}", "", intro, ""]


def _table(size: int, delays: dict[str, dict[str, list[int]]], own_rate: str) -> list[str]:
    rng, kinds = np.random.default_rng(13), list(delays)
    lines = [f"## {size} images a day", "", "| rule | " + " | ".join(kinds) + " | all |", "|---" * 6 + "|"]
    for rule, said in RULES.items():
        values = np.array([delays[kind][rule] for kind in kinds], float)
        cells = []
        for some in (*values[:, None], values):
            drawn = rng.integers(0, some.shape[1], (2000, some.shape[0], some.shape[1]))
            again = np.take_along_axis(np.broadcast_to(some, drawn.shape), drawn, axis=2).mean(axis=(1, 2))
            low, high = np.quantile(again, [0.025, 0.975])
            cells.append(f"{some.mean():.1f} ({low:.1f} to {high:.1f})")
        lines.append(f"| {said} | " + " | ".join(cells) + " |")
    return [*lines, "", f"Without drift, p was at most 1 % on {own_rate} of the days.", ""]
