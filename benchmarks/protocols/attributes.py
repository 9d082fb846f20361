"""P5: neuron weights that respond to an attribute or ignore it, fitted on one sample and scored on another.

Selectivity: the steered distance between pictures with and without an attribute, over the largest of the same for
any other attribute. Ignore ratio: that distance over the mean of the others. Both are raw distances, with the noise
of the sample in them. Of each method the worst attribute counts.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.protocols.attribute_pictures import ATTRIBUTES, PARTNER, bits, picture
from dna_pipelines.comparison import emd_bins
from dna_pipelines.comparison.steering import ignore, respond, respond_by_squares
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.loading.registry import find_network
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.taps import neurons_second

N_BINS = 200
N_CALIBRATION = 200
N_POSITIONS = 256
"""At most so many random positions of a layer's map, to save time."""
CORRELATION = 0.6
BATCH = 32
N = len(ATTRIBUTES)
HERE = Path(__file__).parent
# Student's t, two-sided 95 %, by the number of repeats.
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}

Tokens = dict[str, np.ndarray]
"""By layer: (n_images, n_neurons, n_positions)."""


class Eyes:
    """An extractor and its whitened view: in every layer, principal axes of the tokens, scaled to variance 1."""

    def __init__(self, extractor: Extractor, rng: np.random.Generator) -> None:
        self._extractor, self._rng = extractor, rng
        self._axes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        seen = [self.see(on) for on in np.array_split(bits(N_CALIBRATION, rng), N_CALIBRATION // BATCH)]
        calibration = {name: np.concatenate([one[name] for one in seen]) for name in extractor.layers.names}
        for name, tokens in calibration.items():
            rows = tokens.transpose(0, 2, 1).reshape(-1, tokens.shape[1])
            variances, axes = np.linalg.eigh(np.cov(rows.T))
            there = variances > 1e-6 * variances[-1]
            scaled = (axes[:, there] / np.sqrt(variances[there])).T.astype(np.float32)
            self._axes[name] = rows.mean(axis=0), scaled
        self._edges = {view: _edges(tokens) for view, tokens in self.views(calibration).items()}

    def see(self, on: np.ndarray) -> Tokens:
        """The activations of new pictures with these attributes."""
        prepare, values_of = self._extractor.network.preprocessing, {}
        inputs = torch.from_numpy(np.stack([prepare(picture(bits_on, self._rng)) for bits_on in on]))

        def sink(index: int, output: torch.Tensor) -> None:
            tokens = neurons_second(output, self._extractor.axes[index]).flatten(2).float().numpy()
            some = self._rng.permutation(tokens.shape[2])[:N_POSITIONS]
            values_of[self._extractor.layers.names[index]] = tokens[:, :, np.sort(some)]

        self._extractor.run(inputs, sink)
        return values_of

    def whitened(self, name: str, tokens: np.ndarray) -> np.ndarray:
        """In a layer: (…, n_neurons, n_positions) to axes."""
        middle, axes = self._axes[name]
        return np.matmul(axes, tokens - middle[:, None])

    def views(self, tokens: Tokens) -> Tokens:
        """The neurons, and the whitened ones as further layers."""
        white = {f"{name} whitened": self.whitened(name, values) for name, values in tokens.items()}
        return {**tokens, **white}

    def counts(self, view: str, values: np.ndarray) -> np.ndarray:
        """Histograms of each picture, (n_images, n_neurons, N_BINS); values out of range go to the edge bins."""
        low, scale = self._edges[view]
        out = np.zeros((*values.shape[:2], N_BINS), np.uint16)
        _count(values, low, scale, out)
        return out


@numba.njit(cache=True)
def _count(values, low, scale, out):
    for i in range(values.shape[0]):
        for d in range(values.shape[1]):
            histogram = out[i, d]
            for value in values[i, d]:
                position = (value - low[d]) * scale[d]
                histogram[int(min(max(position, 0), N_BINS - 1))] += 1


def _edges(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = tokens.min(axis=(0, 2)), tokens.max(axis=(0, 2))
    half = np.maximum((high - low) * 0.6, 1e-6)
    return (low + high) / 2 - half, N_BINS / (2 * half)


@dataclass(frozen=True)
class Contrasts:
    """(7, n_neurons) distances of the pictures with and without each attribute, and those by chance at that size."""

    attributes: np.ndarray
    noise: np.ndarray


class Sample:
    """Histograms of pictures by attribute, its value, the value of its partner, and a random half."""

    def __init__(self, eyes: Eyes, n_images: int, rng: np.random.Generator, correlation: float = 0.0) -> None:
        self.counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(()))
        self._pooled: dict[str, list[np.ndarray]] = defaultdict(list)
        self.on = bits(n_images, rng, correlation)
        self._eyes = eyes

    def look(self, directions: dict[str, np.ndarray] | None = None) -> Sample:
        """Count everything. With directions (by layer, (7, n_axes)), also along the directions of linear methods."""
        for start in range(0, len(self.on), BATCH):
            on = self.on[start : start + BATCH]
            tokens, half = self._eyes.see(on), np.arange(len(on)) % 2
            for name, values in self._eyes.views(tokens).items():
                self._add(name, self._eyes.counts(name, values), on, half)
            for name, values in tokens.items():
                self._pooled[name].append(values.mean(axis=2))
                for index in range(N if directions else 0):
                    self._linear(name, self._eyes.whitened(name, values), directions[name][index], index, on, half)
        return self

    def directions(self) -> dict[str, np.ndarray]:
        """By layer, (7, n_axes): from the mean whitened token without an attribute to that with it, of length 1."""
        values_of = {}
        for name, batches in self._pooled.items():
            white = self._eyes.whitened(name, np.concatenate(batches)[..., None])[..., 0]
            away = np.stack([white[self.on[:, a] == 1].mean(0) - white[self.on[:, a] == 0].mean(0) for a in range(N)])
            values_of[name] = away / np.linalg.norm(away, axis=1, keepdims=True)
        return values_of

    def contrasts(self, *views: str, matched: bool = False) -> Contrasts:
        """Of some views together. Matched: inside each value of the attribute's partner, then the mean."""
        values_of, noise = [], []
        for view in views:
            # (attribute, its value, its partner's, half, neuron, bin)
            counts = self.counts[view]
            without, having = counts[:, 0], counts[:, 1]
            if not matched:
                without, having = without.sum(axis=1, keepdims=True), having.sum(axis=1, keepdims=True)
            each = [
                (without.sum(axis=2), having.sum(axis=2)),
                *((counts[:, :, 0], counts[:, :, 1]) for counts in (without, having)),
            ]
            emds = [_emd(left, right).mean(axis=1) for left, right in each]
            values_of.append(emds[0])
            # Halves have half as many images as the sides of the attribute, so distances by chance are √2 larger.
            noise.append((emds[1] + emds[2]) / 2 / np.sqrt(2))
        return Contrasts(np.concatenate(values_of, axis=1), np.concatenate(noise, axis=1))

    def _linear(self, name: str, white: np.ndarray, direction: np.ndarray, index: int, on: np.ndarray, half) -> None:
        along = np.einsum("k,nkp->np", direction, white)
        rest = white - direction[:, None] * along[:, None]
        self._add(f"{name} without {index}", self._eyes.counts(f"{name} whitened", rest), on, half)
        bins = ((along + 6) * (N_BINS / 12)).clip(0, N_BINS - 1).astype(np.int32)
        counts = np.stack([np.bincount(row, minlength=N_BINS) for row in bins])
        self._add(f"{name} along {index}", counts[:, None], on, half)

    def _add(self, view: str, counts: np.ndarray, on: np.ndarray, half: np.ndarray) -> None:
        groups = np.stack(
            [
                (on[:, a] == value) & (on[:, PARTNER[a]] == other) & (half == which)
                for a in range(N)
                for value in (0, 1)
                for other in (0, 1)
                for which in (0, 1)
            ]
        )
        # Counts of a batch are far below 2^24, where float32 is exact.
        summed = groups.astype(np.float32) @ counts.reshape(len(counts), -1).astype(np.float32)
        self.counts[view] = self.counts[view] + summed.reshape(N, 2, 2, 2, *counts.shape[1:])


def _emd(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    shape = left.shape[:-1]
    counted = [values.reshape(-1, N_BINS).astype(np.uint64) for values in (left, right)]
    return emd_bins(*counted).reshape(shape)


def selectivity(weights: np.ndarray, distances: np.ndarray, index: int) -> float:
    steered = distances @ weights / weights.sum()
    return float(steered[index] / np.delete(steered, index).max())


def ignore_ratio(weights: np.ndarray, distances: np.ndarray, index: int) -> float:
    steered = distances @ weights / weights.sum()
    return float(steered[index] / np.delete(steered, index).mean())


def kept(weights: np.ndarray, distances: np.ndarray, index: int) -> float:
    """Of the other attributes, relative to equal weights: the smallest remaining share, over their mean."""
    share = np.delete(distances @ weights / weights.sum() / distances.mean(axis=1), index)
    return float(share.min() / share.mean())


def _repeat(extractor: Extractor, n_images: int, seed: int) -> dict[tuple[str, str], list[float]]:
    """By figure and method, one number for each attribute."""
    rng = np.random.default_rng(seed)
    eyes = Eyes(extractor, rng)
    names = extractor.layers.names
    fitted = Sample(eyes, n_images, rng).look()
    mixed = Sample(eyes, n_images, rng, CORRELATION).look()
    scored = Sample(eyes, n_images, rng).look(fitted.directions())
    whitened = [f"{name} whitened" for name in names]
    views = {"neurons": names, "whitened": whitened, "neurons and whitened": [*names, *whitened]}
    values_of: dict[tuple[str, str], list[float]] = defaultdict(list)
    for index in range(N):
        for view, layers in views.items():
            score = scored.contrasts(*layers).attributes
            equal = np.ones(score.shape[1])
            values_of["selectivity", f"{view}, equal weights"].append(selectivity(equal, score, index))
            values_of["ignore ratio", f"{view}, equal weights"].append(ignore_ratio(equal, score, index))
            samples = [("", fitted.contrasts(*layers))]
            if view == "neurons and whitened":
                samples.append((", correlated", mixed.contrasts(*layers)))
                samples.append((", correlated and matched", mixed.contrasts(*layers, matched=True)))
            for which, fit in samples:
                target, others = fit.attributes[[index]], np.delete(fit.attributes, index, axis=0)
                noise = fit.noise[[index]]
                for method, weights in (
                    ("top 5 % by ratio", respond(target, others, noise)),
                    ("least squares", respond_by_squares(target, others, noise)),
                ):
                    key = f"{view}, {method}{which}"
                    values_of["selectivity", key].append(selectivity(weights, score, index))
                weights = ignore(target, others)
                key = f"{view}, least squares{which}"
                values_of["ignore ratio", key].append(ignore_ratio(weights, score, index))
                values_of["kept of the others", key].append(kept(weights, score, index))
        linear = scored.contrasts(*(f"{name} along {index}" for name in names)).attributes
        rest = scored.contrasts(*(f"{name} without {index}" for name in names)).attributes
        values_of["selectivity", "whitened, linear direction"].append(
            selectivity(np.ones(linear.shape[1]), linear, index)
        )
        values_of["ignore ratio", "whitened, linear residuals"].append(
            ignore_ratio(np.ones(rest.shape[1]), rest, index)
        )
        ratio = scored.contrasts(*whitened)
        values_of["noise over distance", "whitened, equal weights"].append(
            float(ratio.noise[index].mean() / ratio.attributes[index].mean())
        )
    return values_of


TARGETS = {"selectivity": 1.4, "ignore ratio": 0.5}


def run(options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols attributes", description=__doc__)
    parser.add_argument("--extractor", default="builtin", help="a network by name")
    parser.add_argument("--images", type=int, default=2000, help="of each sample")
    parser.add_argument("--repeats", type=int, default=5, choices=T95)
    parser.add_argument("--into", type=Path, help="the table; by default beside this module")
    chosen = parser.parse_args(options)
    torch.set_num_threads(1)
    extractor = probe(find_network(chosen.extractor, Path.cwd()))
    collected: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for seed in range(chosen.repeats):
        for key, values in _repeat(extractor, chosen.images, seed).items():
            collected[key].append(values)
        print(f"  repeat {seed + 1} of {chosen.repeats} done", flush=True)
    table = _table(chosen, {key: np.array(values) for key, values in collected.items()})
    (chosen.into or HERE / f"RESULTS-attributes-{chosen.extractor}.md").write_text(table, encoding="utf-8")
    print(table)


def _table(chosen: argparse.Namespace, collected: dict[tuple[str, str], np.ndarray]) -> str:
    command = f"--extractor {chosen.extractor} --images {chosen.images} --repeats {chosen.repeats}"
    lines = [
        f"# P5: attributes, {chosen.extractor}",
        "",
        f"Written by `python -m benchmarks.protocols attributes {command}`.",
        "Means over repeats with new pictures, ± half of the 95 % interval (Student's t); **worst** is the attribute",
        "with the worst mean.",
        "",
        *(f"- {fact}" for fact in machine()),
        "",
    ]
    for figure in dict.fromkeys(figure for figure, _ in collected):
        smallest_is_worst = figure not in ("ignore ratio", "noise over distance")
        target = TARGETS.get(figure)
        aim = "" if target is None else f" (target: worst {'above' if smallest_is_worst else 'below'} {target})"
        lines += [f"## {figure}{aim}", ""]
        lines += ["| method | " + " | ".join(ATTRIBUTES) + " | median | **worst** |", "|---" * (N + 3) + "|"]
        for (of, method), values in collected.items():
            if of != figure:
                continue
            means = values.mean(axis=0)
            widths = values.std(axis=0, ddof=1) * T95[len(values)] / np.sqrt(len(values))
            worst = int(means.argmin() if smallest_is_worst else means.argmax())
            cells = [f"{mean:.2f}" for mean in means]
            lines.append(
                f"| {method} | {' | '.join(cells)} | {np.median(means):.2f} | "
                f"**{means[worst]:.2f}** ± {widths[worst]:.2f} ({ATTRIBUTES[worst]}) |"
            )
        lines.append("")
    return "\n".join(lines)
