"""Featureless images: a sky, a wall, the black around a retina. To a network they are alike, whatever they show.

An image is featureless if its network can hardly distinguish it from an image of a single colour. Images of single
colours are measured once per network, as a shard that belongs to no version; images of a dataset are not read again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.comparison.scores import finite
from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.dna import Partial
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.files import if_writable

if TYPE_CHECKING:
    from dna_pipelines.update.calibration import Calibrated

F64 = NDArray[np.float64]

NEAR = 0.45
"""An image is featureless if its distance from the nearest image of a single colour is at most this share of the median
of all images (measured: `python -m benchmarks.protocols generators --copies`)."""

COLOURS = tuple(product((0, 128, 255), repeat=3))
_SIZE_PX = 64
_BATCH = 4096
"""The number of images that are compared at a time, to limit memory."""


def single_colour_images() -> list[bytes]:
    """A PNG file of each colour."""
    return [_png(colour) for colour in COLOURS]


def _png(colour: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (_SIZE_PX, _SIZE_PX), colour).save(buffer, "png")
    return buffer.getvalue()


def single_colour_features(
    project: ProjectFolder, like: FeatureTable, extractor: str, progress: Progress | None = None
) -> ImageFeatures:
    """The features of images of a single colour, by the network of some other images; measured if they are not stored.

    Raises:
        UserError: when they must be measured, and the network cannot be loaded or is no longer the same.
    """
    store, record = project.lake.fingerprints, like.record
    data = {digest_of(image): image for image in single_colour_images()}
    shard = Shard(tuple(map(Item, data)))
    compute_id = store.find_partial(record.comparability_key, record.compute_keys[0], shard.id)
    if compute_id:
        return store.partial_images(compute_id, shard.id)
    # Only what extracts needs torch.
    from dna_pipelines.update.calibration import ready_as
    from dna_pipelines.update.remeasure import partials_of

    ready = ready_as(project, extractor, record.comparability_key)
    ((_, measured),) = partials_of(project, ready, [tuple(data)], data, progress)
    if_writable(lambda: _store(project, ready, shard.id, measured))
    return measured.images


def _store(project: ProjectFolder, ready: Calibrated, shard_id: str, measured: Partial) -> None:
    store, extractor = project.lake.fingerprints, ready.extractors[0]
    key = extractor.compute_key(ready.ranges)
    store.put_key(key)
    store.put_partial(key.id, shard_id, measured, extractor.layers)


def distance_from_single_colours(
    features: ImageFeatures, single_colours: ImageFeatures, scales: Mapping[str, F64]
) -> F64:
    """The distance of each image from the nearest image of a single colour: root mean square over neurons.

    Args:
        features: of the images.
        single_colours: see `single_colour_features`.
        scales: the unit of every neuron, by layer.

    Returns:
        (n_images,); NaN for an image with a NaN.
    """
    colours = {name: finite(rows) / scales[name] for name, rows in single_colours.pooled.items()}
    n_neurons = max(sum(map(len, scales.values())), 1)
    distances = np.empty(len(features.digests))
    for start in range(0, len(distances), _BATCH):
        batch = slice(start, start + _BATCH)
        squares = np.zeros((len(distances[batch]), len(single_colours.digests)))
        for name, rows in features.pooled.items():
            values = finite(rows[batch]) / scales[name]
            for index, colour in enumerate(colours[name]):
                squares[:, index] += ((values - colour) ** 2).sum(axis=1)
        distances[batch] = np.sqrt(squares.min(axis=1) / n_neurons)
    return distances
