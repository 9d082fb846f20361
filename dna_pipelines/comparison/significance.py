"""Whether a distance is more than chance, from the blocks of two fingerprints alone.

Blocks are random samples of a dataset. If two datasets do not differ, blocks dealt anew between them, so that
each side keeps its number of images, give distances like the observed one. How the observed one lies among
them is its p-value, and their mean is the noise floor: what chance alone makes of the distance at these sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.chances import chances, family_wise, weighted_mean
from dna_pipelines.comparison.redeal import deal, dealt_distances, draw, resampled_distances, units_of
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.distributions import COARSE_BINS

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

LEVEL = 0.05
"""What is called more than chance, or changed, has a p-value of at most this."""

METHOD = 4
"""Counts up when the method changes, so that no verdict of an older one is taken for one of this."""

N_DRAWN = 500
"""Bootstrap samples behind an interval."""

_FEWEST_WAYS = 40
"""Of dealing: with fewer, no p-value gets clearly below 5 %."""

_FEWEST_EQUAL = 6
"""Blocks of one size that those of both sides must be worth, (Σ n)² / Σ n²."""

_MOST_OFF = 0.34
"""By how much of the smaller side the sizes that are dealt may typically miss it."""

Load = Callable[[str], tuple[U64, U64]]
"""From the name of a layer to both sides' block counts, each (n_neurons, N_BLOCKS, COARSE_BINS)."""


@dataclass(frozen=True)
class LayerSignificance:
    """One layer: distances in bins of the histogram, p corrected for all layers of the selection."""

    layer: str
    n_neurons: int
    emd_bins: float
    noise_floor_bins: float
    p: float


@dataclass(frozen=True, eq=False)
class Significance:
    """The verdict on a distance. Distances are in bins of the histogram, measured on the coarse bins of blocks.

    Attributes:
        emd_bins: the distance of what was tested.
        noise_floor_bins, noise_spread_bins: mean and standard deviation of the distance under the null.
        debiased_bins: the distance less the noise floor; below 0 it is closer than chance makes it.
        low_bins, high_bins: a 95 % interval of the debiased distance.
        p, p_tail, extrapolated, p_mean, p_strongest: see `Chances`.
        n_units_a, n_units_b: blocks that were dealt, of each side.
        layers: each layer of the selection.
        neuron_p: (n_neurons,) corrected for all neurons of the selection; NaN: not tested (not selected,
            constant, or without values).
    """

    emd_bins: float
    noise_floor_bins: float
    noise_spread_bins: float
    debiased_bins: float
    low_bins: float
    high_bins: float
    p: float
    p_tail: float
    extrapolated: bool
    p_mean: float
    p_strongest: float
    n_resamples: int
    n_units_a: int
    n_units_b: int
    layers: tuple[LayerSignificance, ...]
    neuron_p: F64

    @property
    def more_than_chance(self) -> bool:
        """The verdict."""
        return self.p <= LEVEL

    @property
    def n_tested(self) -> int:
        """Neurons that could have changed."""
        return int(np.isfinite(self.neuron_p).sum())

    @property
    def n_changed(self) -> int:
        """Neurons that did, where the verdict is that something did: the chance of any false one is 5 %."""
        return int((self.neuron_p <= LEVEL).sum()) if self.more_than_chance else 0

    def corrected(self, n_tests: int) -> Significance:
        """The same with every p-value corrected for so many tests (Bonferroni)."""
        return replace(
            self,
            p=min(self.p * n_tests, 1.0),
            p_tail=min(self.p_tail * n_tests, 1.0),
            p_mean=min(self.p_mean * n_tests, 1.0),
            p_strongest=min(self.p_strongest * n_tests, 1.0),
            layers=tuple(replace(layer, p=min(layer.p * n_tests, 1.0)) for layer in self.layers),
            neuron_p=np.minimum(self.neuron_p * n_tests, 1.0),
        )


def too_coarse(n_images_a: U64, n_images_b: U64) -> bool:
    """Whether the smaller side is clearly smaller than one block of the larger one, as `why_untestable` then says.

    A side without images is not: finer blocks would not help it.
    """
    small, typical = _small_and_typical(n_images_a, n_images_b)
    return bool(0 < small.sum() < typical * (1 - _MOST_OFF))


def _small_and_typical(n_images_a: U64, n_images_b: U64) -> tuple[U64, float]:
    """The smaller side, and the images in a block of the larger one that has any."""
    small, large = sorted((n_images_a, n_images_b), key=lambda side: int(side.sum()))
    return small, float(large.sum() / max(np.count_nonzero(large), 1))


def why_untestable(n_images_a: U64, n_images_b: U64) -> str | None:
    """Why two sides cannot be tested, and what it would take; None if they can.

    Args:
        n_images_a, n_images_b: (N_BLOCKS,) images in each block.
    """
    units = units_of(n_images_a, n_images_b)
    if not (units.n_images_a and units.n_images_b):
        return "a side has no images"
    n_blocks = [int(np.count_nonzero(side)) for side in (n_images_a, n_images_b)]
    too_few = (
        f"there are too few independent units: {n_blocks[0]} and {n_blocks[1]} blocks have images; 4 on each side are "
        "enough (about as many groups, or images without one)"
    )
    if comb(sum(n_blocks), n_blocks[0]) < _FEWEST_WAYS:
        return too_few
    small, typical = _small_and_typical(n_images_a, n_images_b)
    n_small = int(small.sum())
    if too_coarse(n_images_a, n_images_b):
        return (
            f"the smaller side has {n_small:,} images, fewer than one block of the larger one ({typical:,.0f}); it "
            f"would take about {int(np.ceil(typical)):,}, or finer blocks"
        )
    deals = deal(units, 200, np.random.default_rng(0))
    if deals.n_ways < _FEWEST_WAYS:
        return too_few
    sizes = units.n_images.astype(np.float64)
    n_equal = sizes.sum() ** 2 / (sizes**2).sum()
    off = float(np.median(np.abs(deals.to_a[1:] @ units.n_images - units.n_images_a))) / n_small
    if n_equal < _FEWEST_EQUAL or off > _MOST_OFF:
        return (
            f"groups are too unequal to be dealt: the largest block has {int(sizes.max()):,} images, the smaller side "
            f"{n_small:,}, and all together are worth {n_equal:.1f} blocks of one size; it would take more groups, "
            "or smaller ones"
        )
    return None


def significance(
    selection: Selection,
    load: Load,
    n_images_a: U64,
    n_images_b: U64,
    *,
    n_resamples: int,
    seed: int,
    n_bins: int,
    on_neurons: Callable[[int], None] | None = None,
) -> Significance:
    """Test the weighted mean distance of a selection, each of its layers and each of its neurons.

    Args:
        selection: the neurons and their weights.
        load: see `Load`; called once for each layer with any weight.
        n_images_a, n_images_b: (N_BLOCKS,) images in each block; see `why_untestable`.
        n_resamples: how often the blocks are dealt.
        seed: of the dealing.
        n_bins: of the histograms, to give distances in their bins.
        on_neurons: for progress.
    """
    units, rng = units_of(n_images_a, n_images_b), np.random.default_rng(seed)
    blocks = units_of(n_images_a, n_images_b, alike=False)
    deals, drawn = deal(units, n_resamples, rng), draw(blocks, N_DRAWN, rng)
    names, bins = selection.names(), n_bins / COARSE_BINS
    chosen = {name: _chosen(selection, name) for name in names}
    dealt = np.empty((1 + n_resamples, sum(map(len, chosen.values()))), np.float32)
    weights, parts = np.empty(dealt.shape[1]), {}
    above, below, stop = np.zeros(N_DRAWN), 0.0, 0
    for name in names:
        neurons, start = chosen[name], selection.layers.slice_of(name).start
        counts_a, counts_b = (side[neurons] for side in load(name))
        parts[name] = slice(stop, stop := stop + len(neurons))
        weights[parts[name]] = selection.weights[start + neurons]
        dealt[:, parts[name]] = bins * dealt_distances(counts_a, counts_b, units, deals)
        resampled = bins * resampled_distances(counts_a, counts_b, blocks, drawn)
        known = np.isfinite(resampled[0])
        above += resampled[:, known] @ weights[parts[name]][known]
        below += weights[parts[name]][known].sum()
        if on_neurons:
            on_neurons(len(neurons))
    found = chances(dealt, weights, deals.smallest_p)
    layer_means = np.stack([weighted_mean(dealt[:, part], weights[part]) for part in parts.values()], axis=1)
    layer_p = family_wise(layer_means)[0]
    everywhere = np.full(selection.layers.n_neurons, np.nan)
    for name, part in parts.items():
        everywhere[selection.layers.slice_of(name).start + chosen[name]] = found.neuron_p[part]
    distance, floor = float(found.means[0]), float(found.means[1:].mean())
    low, high = _interval(distance - floor, above / below if below else np.full(N_DRAWN, np.nan))
    return Significance(
        emd_bins=distance,
        noise_floor_bins=floor,
        noise_spread_bins=float(found.means[1:].std(ddof=1)),
        debiased_bins=distance - floor,
        low_bins=low,
        high_bins=high,
        p=found.p,
        p_tail=found.p_tail,
        extrapolated=found.extrapolated,
        p_mean=found.p_mean,
        p_strongest=found.p_strongest,
        n_resamples=n_resamples,
        n_units_a=units.n_a,
        n_units_b=len(units.n_images) - units.n_a,
        layers=tuple(
            LayerSignificance(
                name,
                len(chosen[name]),
                float(layer_means[0, at]),
                float(layer_means[1:, at].mean()),
                float(layer_p[at]),
            )
            for at, name in enumerate(names)
        ),
        neuron_p=everywhere,
    )


def _chosen(selection: Selection, layer: str) -> NDArray[np.int64]:
    return np.flatnonzero(selection.weights[selection.layers.slice_of(layer)] > 0)


def _interval(debiased: float, resampled: F64) -> tuple[float, float]:
    """From how the distance scatters about its mean when the blocks of each side are drawn anew."""
    low, high = np.quantile(resampled, [LEVEL / 2, 1 - LEVEL / 2])
    return debiased - float(high - resampled.mean()), debiased + float(resampled.mean() - low)
