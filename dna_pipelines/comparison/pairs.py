"""Distances of many pairs, layer by layer, with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from math import nan

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.cumulative import cumulative, pairwise_l1
from dna_pipelines.comparison.distances import fd, nfd
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.distributions import Histogram, Layer, Layers, Moments

_TILE = 32
"""DNAs of a tile; two tiles are in memory at once (a 768-neuron layer takes 6 MB for each DNA)."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class LayerMeasures:
    """What of one DNA a comparison needs, for one layer."""

    histogram: Histogram
    moments: Moments


@dataclass(frozen=True)
class LayerDistance:
    """The distances of one pair in one layer: means over its neurons that have a value.

    Attributes:
        n_emd, n_nfd: how many those are, of which the mean over several layers is made.
    """

    a: str
    b: str
    layer: str
    n_neurons: int
    emd_bins: float
    emd_range: float
    nfd: float
    fd: float | None
    n_emd: int
    n_nfd: int


@dataclass(frozen=True)
class SteeredDistance:
    """The distances of one pair under a selection: weighted means over its neurons."""

    a: str
    b: str
    emd_bins: float
    emd_range: float
    nfd: float


Load = Callable[[str, str], LayerMeasures]
"""From the id of a DNA and a layer to its measures. Called from several threads."""


def portions(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """The pairs, a tile of DNAs with all others at a time: done one after the other, one tile more is read for each."""
    number = {
        identity: index // _TILE for index, identity in enumerate(sorted({one for pair in pairs for one in pair}))
    }

    def lower(pair: Pair) -> int:
        return number[min(pair)]

    for _, group in groupby(sorted(pairs, key=lower), key=lower):
        yield list(group)


def layer_distances(
    pairs: Sequence[Pair], layers: Layers, load: Load, on_pairs: Callable[[int], None] | None = None
) -> Iterator[LayerDistance]:
    """The distances of all pairs, for every layer.

    Args:
        pairs: ids of DNAs of one comparability key.
        layers: their layers.
        load: reads the measures of a DNA's layer.
        on_pairs: for progress, with the number of pairs done in one layer.
    """
    every = {layer.name: np.arange(layer.n_neurons) for layer in layers}
    for visit in _visits(pairs, layers, load, every, on_pairs):
        yield from _distances(visit)


def steered_distances(
    pairs: Sequence[Pair], selection: Selection, load: Load, on_pairs: Callable[[int], None] | None = None
) -> list[SteeredDistance]:
    """The distances of all pairs under a selection. Of layers without any weight nothing is read.

    Args:
        pairs: ids of DNAs of one comparability key.
        selection: over their layers.
        load, on_pairs: as for `layer_distances`.
    """
    sums = {(min(pair), max(pair)): np.zeros(4) for pair in pairs}
    own = {name: selection.weights[part] for name, part in selection.layers.slices.items()}
    chosen = {name: np.flatnonzero(weights) for name, weights in own.items() if weights.any()}
    n_bins = 1
    for visit in _visits(list(sums), selection.layers, load, chosen, on_pairs):
        weights, n_bins = own[visit.layer][chosen[visit.layer]], visit.left.stacked.shape[2]
        for pair, emd, frechet in visit.neurons():
            for index, values in ((0, emd), (2, frechet)):
                known = np.isfinite(values)
                sums[min(pair), max(pair)][index] += values[known] @ weights[known]
                sums[min(pair), max(pair)][index + 1] += weights[known].sum()
    found = []
    for (a, b), (emd_sum, emd_weight, nfd_sum, nfd_weight) in sums.items():
        mean = float(emd_sum / emd_weight) if emd_weight else nan
        found.append(SteeredDistance(a, b, mean, mean / n_bins, float(nfd_sum / nfd_weight) if nfd_weight else nan))
    return found


@dataclass(frozen=True, eq=False)
class _Visit:
    """Some pairs in one layer: `rows` says where in the tiles their DNAs are, (n_pairs, 2)."""

    layer: str
    pairs: list[Pair]
    rows: NDArray[np.int64]
    left: _Tile
    right: _Tile

    def neurons(self) -> Iterator[tuple[Pair, NDArray[np.float64], NDArray[np.float64]]]:
        """Of each pair the EMD in bins and the NFD of the neurons that the tiles have."""
        emds = pairwise_l1(self.left.stacked, self.right.stacked, self.rows[:, 0], self.rows[:, 1])
        for pair, (i, j), values in zip(self.pairs, self.rows, emds, strict=True):
            yield pair, values, nfd(self.left.moments[i], self.right.moments[j])[self.left.neurons]


def _visits(
    pairs: Sequence[Pair],
    layers: Layers,
    load: Load,
    chosen: Mapping[str, NDArray[np.int64]],
    on_pairs: Callable[[int], None] | None,
) -> Iterator[_Visit]:
    """All pairs in every layer that has chosen neurons; a visit is over when the next is asked for."""
    ids = sorted({identity for pair in pairs for identity in pair})
    tiles = [ids[start : start + _TILE] for start in range(0, len(ids), _TILE)]
    index = {identity: (number, row) for number, tile in enumerate(tiles) for row, identity in enumerate(tile)}

    def tiles_of(pair: Pair) -> tuple[int, int]:
        return index[pair[0]][0], index[pair[1]][0]

    # In each pair of tiles, the lower one stays while the other changes.
    ordered = sorted((pair if tiles_of(pair)[0] <= tiles_of(pair)[1] else pair[::-1] for pair in pairs), key=tiles_of)
    kept = _Tiles(tiles, load)
    for layer in layers:
        if layer.name not in chosen:
            continue
        kept.begin(layer, chosen[layer.name])
        for (lower, upper), group in groupby(ordered, key=tiles_of):
            some = list(group)
            left, right = kept.tile(lower), kept.tile(upper)
            rows = np.array([(index[a][1], index[b][1]) for a, b in some])
            yield _Visit(layer.name, some, rows, left, right)
            if on_pairs:
                on_pairs(len(some))


@dataclass(frozen=True, eq=False)
class _Tile:
    """Cumulative distributions (n_dnas, n_neurons, n_bins) of chosen neurons and moments of all, of some DNAs."""

    number: int
    neurons: NDArray[np.int64]
    stacked: NDArray[np.float64]
    moments: list[Moments]


class _Tiles:
    """Two tiles in two buffers that are filled again and again: fresh memory would cost as much as reading."""

    def __init__(self, ids: Sequence[Sequence[str]], load: Load) -> None:
        self._ids = ids
        self._load = load
        self._layer = Layer("", 0)
        self._neurons: NDArray[np.int64] = np.arange(0)
        self._buffers: list[NDArray[np.float64]] = [np.empty(0), np.empty(0)]
        self._kept: list[_Tile | None] = [None, None]
        self._last = 0

    def begin(self, layer: Layer, neurons: NDArray[np.int64]) -> None:
        """Go on to a layer, and to some neurons of it."""
        self._layer, self._neurons, self._kept = layer, neurons, [None, None]

    def tile(self, number: int) -> _Tile:
        """A tile, read unless it is one of the two that were used last."""
        for slot, kept in enumerate(self._kept):
            if kept is not None and kept.number == number:
                self._last = slot
                return kept
        # Into the buffer that was not used last: a group of pairs needs both its tiles.
        self._last = 1 - self._last
        tile = self._read(number, self._last)
        self._kept[self._last] = tile
        return tile

    def _read(self, number: int, slot: int) -> _Tile:
        ids, name = self._ids[number], self._layer.name
        first = self._load(ids[0], name)
        chosen, n_neurons = self._neurons, first.histogram.counts.shape[0]
        shape = (len(ids), len(chosen), first.histogram.counts.shape[1])
        if self._buffers[slot].size < np.prod(shape):
            self._buffers[slot] = np.empty(int(np.prod(shape)))
        stacked = self._buffers[slot][: int(np.prod(shape))].reshape(shape)

        def fill(row: int) -> Moments:
            measures = self._load(ids[row], name) if row else first
            counts = measures.histogram.counts
            cumulative(counts if len(chosen) == n_neurons else counts[chosen], stacked[row])
            return measures.moments

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return _Tile(number, chosen, stacked, list(pool.map(fill, range(len(ids)))))


def _distances(visit: _Visit) -> Iterator[LayerDistance]:
    layer, (n_neurons, n_bins) = visit.layer, visit.left.stacked.shape[1:]
    for (pair, values, frechet), (i, j) in zip(visit.neurons(), visit.rows, strict=True):
        a, b = visit.left.moments[i], visit.right.moments[j]
        emd = _mean(values)
        covariances = a.covariances.get(layer), b.covariances.get(layer)
        full = fd(*covariances) if covariances[0] and covariances[1] else None
        first, second = sorted(pair)
        n_known = (int(np.isfinite(some).sum()) for some in (values, frechet))
        yield LayerDistance(first, second, layer, n_neurons, emd, emd / n_bins, _mean(frechet), full, *n_known)


def _mean(values: NDArray[np.float64]) -> float:
    """The mean over neurons that have a value; NaN where none has."""
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")
