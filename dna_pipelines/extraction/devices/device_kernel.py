"""The fused kernel for GPUs: one launch per layer reads every activation once and adds it to all counts.

Triton, which torch for CUDA installs, compiles it on first use. Integer counts do not depend on the order of
addition, and means are summed in a fixed order.

There are two variants with the same results: a histogram of every tile, or one addition per value. Which is faster
depends on how a version of Triton compiles `tl.histogram`, so both are timed on the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from dna_pipelines.distributions import COARSE_BINS
from dna_pipelines.extraction.devices.device_fold import COARSE_WIDTH

if TYPE_CHECKING:
    from dna_pipelines.extraction.devices.device_fold import DeviceFold

_PROGRAMS = 2048
"""Enough programs to keep a large GPU busy; each takes one neuron and some images."""

_POSITIONS = 512
"""Positions that a program reads at once."""


def fold_by_tiles(fold: DeviceFold, part: slice, values: torch.Tensor, images: slice) -> None:
    """Fold one layer with a histogram of every tile; see `DeviceFold.add`."""
    _fold(fold, part, values, images, by_value=False)


def fold_by_values(fold: DeviceFold, part: slice, values: torch.Tensor, images: slice) -> None:
    """Fold one layer by adding every value to its bin in the device's memory; see `DeviceFold.add`."""
    _fold(fold, part, values, images, by_value=True)


def _fold(fold: DeviceFold, part: slice, values: torch.Tensor, images: slice, *, by_value: bool) -> None:
    n_images, n_neurons, n_positions = values.shape
    if n_images == 0:
        return
    group = max(1, n_images * n_neurons // _PROGRAMS)
    group = min(n_images, group)
    positions = min(_POSITIONS, max(16, triton.next_power_of_2(n_positions)))
    n_coarse = fold.n_bins // COARSE_BINS
    grid = (n_neurons, triton.cdiv(n_images, group))
    _fold_layer[grid](
        values,
        *values.stride(),
        fold.lo[part],
        fold.scale[part],
        fold.slots[images],
        fold.counts[part],
        fold.blocks[part],
        fold.blocks.stride(0),
        fold.n_zero[part],
        fold.minimum[part],
        fold.maximum[part],
        fold.pooled[images, part],
        fold.pooled.stride(0),
        n_images,
        n_positions,
        group,
        N_BINS=fold.n_bins,
        PER_COARSE=n_coarse,
        # At least one bin more, for the padding of the last tile.
        WIDTH=triton.next_power_of_2(fold.n_bins + 4),
        COARSE=COARSE_WIDTH,
        COARSE_PADDED=triton.next_power_of_2(COARSE_WIDTH + 1),
        POSITIONS=positions,
        BY_VALUE=by_value,
        # A fused multiply and add rounds once instead of twice, and would move values over edges.
        enable_fp_fusion=False,
    )


# Shards begin and end anywhere in a batch, which must not compile the kernel again.
@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["n_images", "group"], do_not_specialize_on_alignment=["slots", "pooled", "lo_of", "scale_of"]
)
def _fold_layer(
    values, image_stride, neuron_stride, position_stride,
    lo_of, scale_of, slots, counts, blocks, block_stride,
    n_zero, minimum, maximum, pooled, pooled_stride,
    n_images, n_positions, group,
    N_BINS: tl.constexpr, PER_COARSE: tl.constexpr, WIDTH: tl.constexpr,  # noqa: N803
    COARSE: tl.constexpr, COARSE_PADDED: tl.constexpr, POSITIONS: tl.constexpr,  # noqa: N803
    BY_VALUE: tl.constexpr,  # noqa: N803
):  # fmt: skip
    neuron = tl.program_id(0)
    # Offsets have 64 bits: a layer of a large batch has more than 2**31 values.
    one = tl.full((), 1, tl.int64)
    first = tl.program_id(1) * group
    lo, scale = tl.load(lo_of + neuron), tl.load(scale_of + neuron)
    offsets, bins, coarse_bins = tl.arange(0, POSITIONS), tl.arange(0, WIDTH), tl.arange(0, COARSE_PADDED)
    tile_counts = tl.zeros((WIDTH,), tl.int32)
    zeros = tl.zeros((POSITIONS,), tl.int32)
    low = tl.full((POSITIONS,), float("inf"), tl.float32)
    high = tl.full((POSITIONS,), float("-inf"), tl.float32)
    for image in range(first, tl.minimum(first + group, n_images)):
        row = values + one * image * image_stride + one * neuron * neuron_stride
        coarse_counts = tl.zeros((COARSE_PADDED,), tl.int32)
        total = tl.zeros((POSITIONS,), tl.float64)
        for start in range(0, n_positions, POSITIONS):
            inside = start + offsets < n_positions
            value = tl.load(row + one * (start + offsets) * position_stride, mask=inside, other=0.0)
            missing = value != value  # noqa: PLR0124 (NaN)
            t = (value.to(tl.float64) - lo) * scale
            # NaN is replaced first: converting it to an integer is undefined.
            bounded = tl.minimum(tl.maximum(tl.where(missing, 0.0, t), 0.0), N_BINS - 1.0)
            bin_of = bounded.to(tl.int32)
            column = tl.where(t < 0.0, 0, bin_of + 1)
            column = tl.where(t > N_BINS, N_BINS + 1, column)
            column = tl.where(missing, N_BINS + 2, column)
            coarse = tl.where(missing, COARSE - 1, bin_of // PER_COARSE)
            if BY_VALUE:
                tl.atomic_add(counts + neuron * (N_BINS + 3) + column, 1, mask=inside, sem="relaxed")
            else:
                tile_counts += tl.histogram(tl.where(inside, column, WIDTH - 1), WIDTH)
            coarse_counts += tl.histogram(tl.where(inside, coarse, COARSE_PADDED - 1), COARSE_PADDED)
            zeros += (inside & (value == 0.0)).to(tl.int32)
            counted = inside & (value == value)  # noqa: PLR0124
            low = tl.minimum(low, tl.where(counted, value, float("inf")))
            high = tl.maximum(high, tl.where(counted, value, float("-inf")))
            total += value.to(tl.float64)
        slot = tl.load(slots + image)
        to = blocks + one * neuron * block_stride + slot * COARSE + coarse_bins
        tl.atomic_add(to, coarse_counts, mask=(coarse_bins < COARSE) & (coarse_counts > 0), sem="relaxed")
        tl.store(pooled + one * image * pooled_stride + neuron, tl.sum(total) / n_positions)
    if not BY_VALUE:
        to = counts + neuron * (N_BINS + 3) + bins
        tl.atomic_add(to, tile_counts, mask=(bins < N_BINS + 3) & (tile_counts > 0), sem="relaxed")
    tl.atomic_add(n_zero + neuron, tl.sum(zeros), sem="relaxed")
    tl.atomic_min(minimum + neuron, tl.min(low), sem="relaxed")
    tl.atomic_max(maximum + neuron, tl.max(high), sem="relaxed")
