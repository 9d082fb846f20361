"""Calibration: measures the activation ranges of an extractor on a sample of images."""

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
class _BatchExtremes:
    """The neurons of every layer with their lows, highs and totals in one batch, which stay on the device."""

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
    """Measure the extremes and means of every neuron over some images; for a linear view, first its basis.

    Args:
        extractor: the network, or a view of it.
        digests: the images.
        datasets: the names of the datasets they come from, for the record.
        read: returns the encoded image of a digest.
        workers: see `ActivationStream`; the result does not depend on it.
        on_images: called with the number of images that have just been processed.
        others: the same extractor on more devices of one kind.

    Raises:
        NothingToCompare: `compare.no-images` when there are no images.
        ExtractorError: `network.not-finite` when a neuron is finite on none of them.
    """
    if not digests:
        raise NothingToCompare(
            f"there are no images to calibrate {extractor.network.name} on; add a dataset that has some",
            code="compare.no-images",
            network=extractor.network.label,
        )
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
    # Batches are summed in their order, not in that in which they finish, so the means are reproducible.
    totals = np.zeros((n_batches, n_neurons))

    def batch(index: int) -> Batch[_BatchExtremes]:
        extremes = _BatchExtremes(index)

        def consume(part: slice, values: torch.Tensor) -> None:
            finite = values.isfinite()
            low = values.masked_fill(~finite, torch.inf).amin((0, 2))
            high = values.masked_fill(~finite, -torch.inf).amax((0, 2))
            extremes.layers.append((part, low, high, values.double().masked_fill(~finite, 0.0).mean(2).sum(0)))

        return Batch(list(digests[index * size : (index + 1) * size]), consume, extremes)

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
    return ActivationRanges(extractor.layers, binning, low, high, centre, len(digests), tuple(datasets), basis=basis)


def _require_finite(extractor: Extractor, low: NDArray[np.float32], n_images: int) -> None:
    """Every neuron must be finite on some image: the lowest finite value of one that never is, is infinite."""
    never_finite = {name: np.isinf(low[part]) for name, part in extractor.layers.slices.items()}
    n_wrong = {name: (int(mask.sum()), mask.size) for name, mask in never_finite.items() if mask.any()}
    if n_wrong:
        neurons = ", ".join(f"{n:,} of {size:,} neurons in {name}" for name, (n, size) in n_wrong.items())
        raise ExtractorError(
            f"{extractor.network.label} returns only NaN or infinity for all {n_images:,} images of its calibration: "
            f"{neurons}; check its weights and how its images are normalised",
            code="network.not-finite",
            network=extractor.network.label,
            layers=list(n_wrong),
            n_neurons={name: n for name, (n, _) in n_wrong.items()},
            n_images=n_images,
        )
