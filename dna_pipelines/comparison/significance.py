"""Whether a distance is significant, from the blocks of two fingerprints alone.

Blocks are random samples of a dataset. If two datasets do not differ, blocks permuted between them, so that each side
keeps its number of images, give distances like the observed one. The rank of the observed distance among them is its
p-value. Their mean is the null mean: the distance that is expected at these sizes without any difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.comparison.p_values import family_wise, p_values, weighted_mean
from dna_pipelines.comparison.permutation import permute, permuted_distances, resample, resampled_distances, units_of
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.distributions import COARSE_BINS

F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]

LEVEL = 0.05
"""A result is significant, and a neuron changed, where the p-value is at most this."""

METHOD = 4
"""Counts up when the method changes, so that no result of an older method is taken for one of this."""

N_DRAWN = 500
"""Bootstrap samples behind an interval."""

_FEWEST_WAYS = 40
"""Of permuting: with fewer, no p-value gets clearly below 5 %."""

_FEWEST_EQUAL = 6
"""Blocks of one size that those of both sides must be worth, (Σ n)² / Σ n²."""

_MOST_OFF = 0.34
"""By how much of the smaller side the sizes of permuted sides may typically miss it."""

Load = Callable[[str], tuple[U64, U64]]
"""From the name of a layer to both sides' block counts, each (n_neurons, N_BLOCKS, COARSE_BINS)."""


@dataclass(frozen=True)
class LayerSignificance:
    """One layer: distances in bins of the histogram, p corrected for all layers of the selection."""

    layer: str
    n_neurons: int
    emd_bins: float
    null_mean_bins: float
    p: float


@dataclass(frozen=True, eq=False)
class Significance:
    """The statistics of a test. Distances are in bins of the histogram, measured on the coarse bins of blocks.

    Attributes:
        emd_bins: the distance of what was tested.
        null_mean_bins, null_sd_bins: mean and standard deviation of the distance under the null hypothesis.
        bias_corrected_bins: the distance less the null mean; below 0, the sides are closer than two samples of one
            dataset usually are.
        ci_low_bins, ci_high_bins: a 95 % confidence interval of the bias-corrected distance.
        p, p_tail, tail_estimated, p_mean, p_strongest: see `PValues`.
        n_units_a, n_units_b: blocks that were permuted, of each side.
        layers: each layer of the selection.
        neuron_p: (n_neurons,) corrected for all neurons of the selection; NaN: not tested (not selected,
            constant, or without values).
    """

    emd_bins: float
    null_mean_bins: float
    null_sd_bins: float
    bias_corrected_bins: float
    ci_low_bins: float
    ci_high_bins: float
    p: float
    p_tail: float
    tail_estimated: bool
    p_mean: float
    p_strongest: float
    n_permutations: int
    n_units_a: int
    n_units_b: int
    layers: tuple[LayerSignificance, ...]
    neuron_p: F64

    @property
    def significant(self) -> bool:
        """Whether the sides differ, at the level `LEVEL`."""
        return self.p <= LEVEL

    @property
    def n_tested(self) -> int:
        """Neurons that were tested."""
        return int(np.isfinite(self.neuron_p).sum())

    @property
    def n_changed(self) -> int:
        """Neurons that changed, where the result is significant: the chance of any false one is 5 %."""
        return int((self.neuron_p <= LEVEL).sum()) if self.significant else 0

    @property
    def by_strongest_neuron(self) -> bool:
        """Whether the strongest neuron makes it significant, while the interval of the mean distance includes 0."""
        return self.significant and self.p_mean > LEVEL and self.ci_low_bins <= 0 <= self.ci_high_bins

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


def why_untestable(n_images_a: U64, n_images_b: U64) -> NotTested | None:
    """Why two sides cannot be tested, and what a test would need; None if they can.

    Args:
        n_images_a, n_images_b: (N_BLOCKS,) images in each block.
    """
    units = units_of(n_images_a, n_images_b)
    if not (units.n_images_a and units.n_images_b):
        return NotTested("significance.no-images", "a side has no images")
    n_blocks = [int(np.count_nonzero(side)) for side in (n_images_a, n_images_b)]
    too_few = NotTested(
        "significance.too-few-units",
        f"too few images: {n_blocks[0]} and {n_blocks[1]} blocks of independent ones (groups, or images without a "
        "group); about 4 on each side are enough",
        {"n_blocks_a": n_blocks[0], "n_blocks_b": n_blocks[1]},
    )
    if comb(sum(n_blocks), n_blocks[0]) < _FEWEST_WAYS:
        return too_few
    small, typical = _small_and_typical(n_images_a, n_images_b)
    n_small = int(small.sum())
    if too_coarse(n_images_a, n_images_b):
        return NotTested(
            "significance.blocks-too-coarse",
            f"the smaller side has {n_small:,} images, fewer than one block of the larger one ({typical:,.0f}); a test "
            f"needs about {int(np.ceil(typical)):,}, or finer blocks",
            {"n_images": n_small, "n_images_in_block": round(typical), "n_images_needed": int(np.ceil(typical))},
        )
    permutations = permute(units, 200, np.random.default_rng(0))
    if permutations.n_ways < _FEWEST_WAYS:
        return too_few
    sizes = units.n_images.astype(np.float64)
    n_equal = sizes.sum() ** 2 / (sizes**2).sum()
    off = float(np.median(np.abs(permutations.to_a[1:] @ units.n_images - units.n_images_a))) / n_small
    if n_equal < _FEWEST_EQUAL or off > _MOST_OFF:
        return NotTested(
            "significance.groups-too-unequal",
            f"groups are too unequal to be permuted: the largest block has {int(sizes.max()):,} images, the smaller "
            f"side {n_small:,}, and all together are worth {n_equal:.1f} blocks of one size; a test needs more groups, "
            "or smaller ones",
            {"n_images_in_largest_block": int(sizes.max()), "n_images": n_small, "n_equal_blocks": float(n_equal)},
        )
    return None


def significance(
    selection: Selection,
    load: Load,
    n_images_a: U64,
    n_images_b: U64,
    *,
    n_permutations: int,
    seed: int,
    n_bins: int,
    on_neurons: Callable[[int], None] | None = None,
) -> Significance:
    """Test the weighted mean distance of a selection, each of its layers and each of its neurons.

    Args:
        selection: the neurons and their weights.
        load: see `Load`; called once for each layer with any weight.
        n_images_a, n_images_b: (N_BLOCKS,) images in each block; see `why_untestable`.
        n_permutations: the number of permutations.
        seed: of the permutations.
        n_bins: of the histograms, to give distances in their bins.
        on_neurons: for progress.
    """
    units, rng = units_of(n_images_a, n_images_b), np.random.default_rng(seed)
    blocks = units_of(n_images_a, n_images_b, alike=False)
    permutations, samples = permute(units, n_permutations, rng), resample(blocks, N_DRAWN, rng)
    names, bins = selection.names(), n_bins / COARSE_BINS
    chosen = {name: _chosen(selection, name) for name in names}
    permuted = np.empty((1 + n_permutations, sum(map(len, chosen.values()))), np.float32)
    weights, parts = np.empty(permuted.shape[1]), {}
    above, below, stop = np.zeros(N_DRAWN), 0.0, 0
    for name in names:
        neurons, start = chosen[name], selection.layers.slice_of(name).start
        counts_a, counts_b = (side[neurons] for side in load(name))
        parts[name] = slice(stop, stop := stop + len(neurons))
        weights[parts[name]] = selection.weights[start + neurons]
        permuted[:, parts[name]] = bins * permuted_distances(counts_a, counts_b, units, permutations)
        resampled = bins * resampled_distances(counts_a, counts_b, blocks, samples)
        known = np.isfinite(resampled[0])
        above += resampled[:, known] @ weights[parts[name]][known]
        below += weights[parts[name]][known].sum()
        if on_neurons:
            on_neurons(len(neurons))
    values = p_values(permuted, weights, permutations.smallest_p)
    layer_means = np.stack([weighted_mean(permuted[:, part], weights[part]) for part in parts.values()], axis=1)
    layer_p = family_wise(layer_means)[0]
    everywhere = np.full(selection.layers.n_neurons, np.nan)
    for name, part in parts.items():
        everywhere[selection.layers.slice_of(name).start + chosen[name]] = values.neuron_p[part]
    distance, null_mean = float(values.means[0]), float(values.means[1:].mean())
    low, high = _interval(distance - null_mean, above / below if below else np.full(N_DRAWN, np.nan))
    return Significance(
        emd_bins=distance,
        null_mean_bins=null_mean,
        null_sd_bins=float(values.means[1:].std(ddof=1)),
        bias_corrected_bins=distance - null_mean,
        ci_low_bins=low,
        ci_high_bins=high,
        p=values.p,
        p_tail=values.p_tail,
        tail_estimated=values.tail_estimated,
        p_mean=values.p_mean,
        p_strongest=values.p_strongest,
        n_permutations=n_permutations,
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


def _interval(bias_corrected: float, resampled: F64) -> tuple[float, float]:
    """From how the distance scatters about its mean over bootstrap samples of each side's blocks."""
    low, high = np.quantile(resampled, [LEVEL / 2, 1 - LEVEL / 2])
    return bias_corrected - float(high - resampled.mean()), bias_corrected + float(resampled.mean() - low)
