"""Calibration: the activation ranges of an extractor, from a sample of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from dna_pipelines.distributions import Binning
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import ExtractorError, NothingToCompare
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.stream.activation_stream import ActivationStream
from dna_pipelines.extraction.stream.lanes import Batch
from dna_pipelines.extraction.views.view_basis import measure_basis
from dna_pipelines.extraction.views.view_extractor import ViewExtractor
from dna_pipelines.manifests import ReadImage


@dataclass(frozen=True)
class _Seen:
    """What a batch showed: for every layer its place, and lows, highs and totals that stay on the device."""

    batch: int
    layers: list[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor]] = field(default_factory=list)


def calibrate(
    extractor: Extractor,
    digests: Sequence[str],
    datasets: Sequence[str],
    read: ReadImage,
    *,
    workers: int = 0,
    on_images: Callable[[int], None] | None = None,
    others: Sequence[Extractor] = (),
) -> ActivationRanges:
    """Measure the extremes and means of every neuron over some images; of a view, first its basis.

    Raises:
        NothingToCompare: when there are no images.
        ExtractorError: when a neuron is finite on none of them.
    """
    if not digests:
        raise NothingToCompare(f"no images to calibrate {extractor.network.name} on; add a dataset that has some")
    basis = None
    if isinstance(extractor, ViewExtractor) and extractor.view.needs_basis:
        bases = [extractor.base, *(other.base for other in others if isinstance(other, ViewExtractor))]
        basis = measure_basis(bases, extractor.view, digests, read, workers=workers, on_images=on_images)
        extractor = extractor.with_basis(basis)
        others = [other.with_basis(basis) for other in others if isinstance(other, ViewExtractor)]
    n_neurons, size = extractor.layers.n_neurons, extractor.batch_size
    n_batches = -(-len(digests) // size)
    minimum = np.full((n_batches, n_neurons), np.inf, np.float32)
    maximum = np.full((n_batches, n_neurons), -np.inf, np.float32)
    # Batches are added up in their order, whichever is finished first.
    totals = np.zeros((n_batches, n_neurons))

    def batch(index: int) -> Batch[_Seen]:
        seen = _Seen(index)

        def consume(part: slice, values: torch.Tensor) -> None:
            finite = values.isfinite()
            low = values.masked_fill(~finite, torch.inf).amin((0, 2))
            high = values.masked_fill(~finite, -torch.inf).amax((0, 2))
            seen.layers.append((part, low, high, values.double().masked_fill(~finite, 0.0).mean(2).sum(0)))

        return Batch(list(digests[index * size : (index + 1) * size]), consume, seen)

    stream = ActivationStream([extractor, *others], read, workers)
    with closing(stream.run(map(batch, range(n_batches)))) as batches:
        for done in batches:
            for part, low, high, total in done.tag.layers:
                minimum[done.tag.batch, part] = low.cpu().numpy()
                maximum[done.tag.batch, part] = high.cpu().numpy()
                totals[done.tag.batch, part] = total.cpu().numpy()
            done.tag.layers.clear()
            if on_images:
                on_images(len(done.digests))
    low, high = minimum.min(axis=0), maximum.max(axis=0)
    _require_finite(extractor, low, len(digests))
    binning = Binning.from_observed(low, high, extractor.layers)
    centre = totals.sum(axis=0) / len(digests)
    found = (len(digests), tuple(datasets))
    return ActivationRanges(extractor.layers, binning, low, high, centre, *found, basis=basis)


def _require_finite(extractor: Extractor, low: NDArray[np.float32], n_images: int) -> None:
    """Every neuron must have been finite somewhere: its lowest finite value is infinite where it never was."""
    never = {name: np.isinf(low[part]) for name, part in extractor.layers.slices.items()}
    if wrong := [f"{so.sum():,} of {so.size:,} neurons in {name}" for name, so in never.items() if so.any()]:
        raise ExtractorError(
            f"{extractor.network.label} gives nothing but NaN or infinity on all {n_images:,} images that it was to "
            f"be calibrated on: {', '.join(wrong)}; look at its weights and at how its images are normalised"
        )
