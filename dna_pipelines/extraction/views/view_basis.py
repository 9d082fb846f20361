"""Measuring the basis of a linear view: means and second moments of every layer over the calibration images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch

from dna_pipelines.config import View
from dna_pipelines.distributions import Covariance, Moments
from dna_pipelines.dna import Basis
from dna_pipelines.dna.basis import F64, main_components, random_directions
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.stream.activation_stream import ActivationStream
from dna_pipelines.extraction.stream.lanes import Batch
from dna_pipelines.manifests import ReadImage

Seen = Moments | Covariance
"""Of one layer over positions: the latter where dependence matters."""


@dataclass(frozen=True)
class _Batch:
    """What a batch showed, by the first neuron of each layer."""

    number: int
    layers: dict[int, Seen] = field(default_factory=dict)


def measure_basis(
    extractors: Sequence[Extractor],
    view: View,
    digests: Sequence[str],
    read: ReadImage,
    *,
    workers: int = 0,
    on_images: Callable[[int], None] | None = None,
) -> Basis:
    """The maps of a linear view, from what a network gives on some images.

    Args:
        extractors: the network as it is, once for every device.
        view: projected or whitened.
        digests: the images.
        read: gives the bytes of a digest.
        workers: see `ActivationStream`; the result does not depend on it.
        on_images: for progress.
    """
    extractor, whole = extractors[0], view.kind == "whitened"
    size = extractor.batch_size

    def batch(number: int) -> Batch[_Batch]:
        seen = _Batch(number)

        def consume(part: slice, values: torch.Tensor) -> None:
            seen.layers[part.start] = _moments(values, whole=whole)

        return Batch(list(digests[number * size : (number + 1) * size]), consume, seen)

    total: dict[int, Seen] = {}
    early: dict[int, _Batch] = {}
    n_added = 0
    stream = ActivationStream(extractors, read, workers)
    with closing(stream.run(map(batch, range(-(-len(digests) // size))))) as batches:
        for done in batches:
            if on_images:
                on_images(len(done.digests))
            early[done.tag.number] = done.tag
            # Batches are added up in their order, whichever is finished first; what is in flight is bounded.
            while n_added in early:
                for start, seen in early.pop(n_added).layers.items():
                    total[start] = _merged(total[start], seen) if start in total else seen
                n_added += 1
    return Basis.of(
        _map(layer.name, view, total[part.start])
        for layer, part in zip(extractor.layers, extractor.layers.slices.values(), strict=True)
    )


def _moments(values: torch.Tensor, *, whole: bool) -> Seen:
    """Moments over the positions in which every neuron of a layer is finite, in float32 whatever the network is in."""
    with torch.autocast(values.device.type, enabled=False):
        return _moments_in_float32(values, whole=whole)


def _moments_in_float32(values: torch.Tensor, *, whole: bool) -> Seen:
    rows = values.transpose(1, 2).flatten(0, 1)
    rows = rows[rows.isfinite().all(dim=1)]
    n, width = rows.shape
    mean = rows.double().mean(dim=0) if n else torch.zeros(width, dtype=torch.float64)
    centred = rows - mean.to(rows.device).float()
    centre = mean.cpu().numpy()
    if whole:
        return Covariance(n, centre, (centred.T @ centred).double().cpu().numpy())
    return Moments(np.full(width, n, np.uint64), centre, centred.square().sum(dim=0, dtype=torch.float64).cpu().numpy())


def _merged(one: Seen, other: Seen) -> Seen:
    if isinstance(one, Covariance) and isinstance(other, Covariance):
        return one.merge(other)
    if isinstance(one, Moments) and isinstance(other, Moments):
        return one.merge(other)
    raise TypeError("moments and covariances cannot be merged")


def _map(layer: str, view: View, seen: Seen) -> tuple[F64, F64]:
    if isinstance(seen, Covariance):
        return main_components(view.n, seen)
    return random_directions(layer, view.n, seen)
