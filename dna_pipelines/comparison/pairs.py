"""Distances of many pairs, layer by layer, with bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.distances import fd, nfd
from dna_pipelines.comparison.kernels import cumulative, pairwise_l1
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
    """The distances of one pair in one layer: means over its neurons."""

    a: str
    b: str
    layer: str
    n_neurons: int
    emd_bins: float
    emd_range: float
    nfd: float
    fd: float | None


Load = Callable[[str, str], LayerMeasures]
"""From the id of a DNA and a layer to its measures. Called from several threads."""


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
    ids = sorted({identity for pair in pairs for identity in pair})
    tiles = [ids[start : start + _TILE] for start in range(0, len(ids), _TILE)]
    place = {identity: (number, row) for number, tile in enumerate(tiles) for row, identity in enumerate(tile)}

    def tiles_of(pair: Pair) -> tuple[int, int]:
        return place[pair[0]][0], place[pair[1]][0]

    # In each pair of tiles, the lower one stays while the other changes.
    ordered = sorted((pair if tiles_of(pair)[0] <= tiles_of(pair)[1] else pair[::-1] for pair in pairs), key=tiles_of)
    kept = _Tiles(tiles, load)
    for layer in layers:
        kept.begin(layer)
        for (lower, upper), group in groupby(ordered, key=tiles_of):
            some = list(group)
            left, right = kept.tile(lower), kept.tile(upper)
            rows = np.array([(place[a][1], place[b][1]) for a, b in some])
            yield from _distances(some, rows, layer.name, left, right)
            if on_pairs:
                on_pairs(len(some))


@dataclass(frozen=True, eq=False)
class _Tile:
    """Cumulative distributions (n_dnas, n_neurons, n_bins) and moments of some DNAs, for one layer."""

    number: int
    stacked: NDArray[np.float64]
    moments: list[Moments]


class _Tiles:
    """Two tiles in two buffers that are filled again and again: fresh memory would cost as much as reading."""

    def __init__(self, ids: Sequence[Sequence[str]], load: Load) -> None:
        self._ids = ids
        self._load = load
        self._layer = Layer("", 0)
        self._buffers: list[NDArray[np.float64]] = [np.empty(0), np.empty(0)]
        self._kept: list[_Tile | None] = [None, None]
        self._last = 0

    def begin(self, layer: Layer) -> None:
        """Go on to a layer."""
        self._layer, self._kept = layer, [None, None]

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
        shape = (len(ids), *first.histogram.counts.shape)
        if self._buffers[slot].size < np.prod(shape):
            self._buffers[slot] = np.empty(int(np.prod(shape)))
        stacked = self._buffers[slot][: int(np.prod(shape))].reshape(shape)

        def fill(row: int) -> Moments:
            measures = self._load(ids[row], name) if row else first
            cumulative(measures.histogram.counts, stacked[row])
            return measures.moments

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return _Tile(number, stacked, list(pool.map(fill, range(len(ids)))))


def _distances(
    pairs: list[Pair], rows: NDArray[np.int64], layer: str, left: _Tile, right: _Tile
) -> Iterator[LayerDistance]:
    n_neurons, n_bins = left.stacked.shape[1:]
    emds = pairwise_l1(left.stacked, right.stacked, rows[:, 0], rows[:, 1])
    for pair, (i, j), values in zip(pairs, rows, emds, strict=True):
        a, b = left.moments[i], right.moments[j]
        emd, frechet = _mean(values), nfd(a, b)
        covariances = a.covariances.get(layer), b.covariances.get(layer)
        full = fd(*covariances) if covariances[0] and covariances[1] else None
        first, second = sorted(pair)
        yield LayerDistance(first, second, layer, n_neurons, emd, emd / n_bins, _mean(frechet), full)


def _mean(values: NDArray[np.float64]) -> float:
    """The mean over neurons that have a value; NaN where none has."""
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")
