"""Measures the basis of a linear view: its maps, from moments of every layer over the calibration images."""

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

LayerMoments = Moments | Covariance
"""Moments of one layer over positions; with a covariance for whitened views."""


@dataclass(frozen=True)
class _BatchMoments:
    """The moments of each layer in one batch, by the index of the layer's first neuron."""

    number: int
    layers: dict[int, LayerMoments] = field(default_factory=dict)


def measure_basis(
    extractors: Sequence[Extractor],
    view: View,
    digests: Sequence[str],
    read: ReadImage,
    *,
    workers: int = 0,
    on_images: Callable[[int], None] | None = None,
) -> Basis:
    """The maps of a linear view, from the activations of a network on some images.

    Args:
        extractors: the extractor of the network, once for every device.
        view: projected or whitened.
        digests: the images.
        read: returns the encoded image of a digest.
        workers: see `ActivationStream`; the result does not depend on it.
        on_images: called with the number of images that have just been processed.
    """
    extractor, whole = extractors[0], view.kind == "whitened"
    size = extractor.batch_size

    def batch(number: int) -> Batch[_BatchMoments]:
        moments = _BatchMoments(number)

        def consume(part: slice, values: torch.Tensor) -> None:
            moments.layers[part.start] = _moments(values, whole=whole)

        return Batch(list(digests[number * size : (number + 1) * size]), consume, moments)

    total: dict[int, LayerMoments] = {}
    early: dict[int, _BatchMoments] = {}
    n_added = 0
    stream = ActivationStream(extractors, read, workers)
    with closing(stream.run(map(batch, range(-(-len(digests) // size))))) as batches:
        for done in batches:
            if on_images:
                on_images(len(done.digests))
            early[done.tag.number] = done.tag
            # Batches are summed in their order, not in that in which they finish; the stream bounds how many wait.
            while n_added in early:
                for start, moments in early.pop(n_added).layers.items():
                    total[start] = _merged(total[start], moments) if start in total else moments
                n_added += 1
    return Basis.of(
        _map(layer.name, view, total[part.start])
        for layer, part in zip(extractor.layers, extractor.layers.slices.values(), strict=True)
    )


def _moments(values: torch.Tensor, *, whole: bool) -> LayerMoments:
    """Moments over the positions where every neuron of a layer is finite, in float32 at any precision."""
    with torch.autocast(values.device.type, enabled=False):
        return _moments_in_float32(values, whole=whole)


def _moments_in_float32(values: torch.Tensor, *, whole: bool) -> LayerMoments:
    rows = values.transpose(1, 2).flatten(0, 1)
    rows = rows[rows.isfinite().all(dim=1)]
    n, width = rows.shape
    mean = rows.double().mean(dim=0) if n else torch.zeros(width, dtype=torch.float64)
    centred = rows - mean.to(rows.device).float()
    centre = mean.cpu().numpy()
    if whole:
        return Covariance(n, centre, (centred.T @ centred).double().cpu().numpy())
    return Moments(np.full(width, n, np.uint64), centre, centred.square().sum(dim=0, dtype=torch.float64).cpu().numpy())


def _merged(first: LayerMoments, second: LayerMoments) -> LayerMoments:
    if isinstance(first, Covariance) and isinstance(second, Covariance):
        return first.merge(second)
    if isinstance(first, Moments) and isinstance(second, Moments):
        return first.merge(second)
    raise TypeError("moments and covariances cannot be merged")


def _map(layer: str, view: View, moments: LayerMoments) -> tuple[F64, F64]:
    if isinstance(moments, Covariance):
        return main_components(view.n, moments)
    return random_directions(layer, view.n, moments)
