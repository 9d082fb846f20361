"""Plain images: a sky, a wall, the black around a retina. To a network one is like another, so likeness means nothing.

An image is plain where its network can hardly tell it from an image of one colour. Such images are measured once for
each network, as a shard that belongs to no version; the images of a dataset are not looked at again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.analysis.images.feature_table import FeatureTable
from dna_pipelines.comparison.scores import finite
from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

F64 = NDArray[np.float64]

NEAR = 0.45
"""An image is plain if its distance from an image of one colour is at most this much of what it is in the middle of all
images (measured: `python -m benchmarks.protocols generators --copies`)."""

COLOURS = tuple(product((0, 128, 255), repeat=3))
_PX = 64
_ROWS = 4096
"""That are looked at together."""


def one_coloured() -> list[bytes]:
    """An image file of each colour."""
    return [_file(colour) for colour in COLOURS]


def _file(colour: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (_PX, _PX), colour).save(buffer, "png")
    return buffer.getvalue()


def one_coloured_features(
    project: ProjectFolder, like: FeatureTable, extractor: str, progress: Progress | None = None
) -> ImageFeatures:
    """Images of one colour as the network of some images sees them; measured if they are not there yet.

    Raises:
        UserError: when they have to be measured, and the network cannot be loaded or is no longer the same.
    """
    store, record = project.lake.fingerprints, like.record
    data = {digest_of(one): one for one in one_coloured()}
    shard = Shard(tuple(map(Item, data)))
    place = store.find_partial(record.comparability_key, record.compute_keys[0], shard.id)
    if place is None:
        # Only what extracts needs torch.
        from dna_pipelines.update.calibration import ready_as
        from dna_pipelines.update.remeasure import partials_of

        ready = ready_as(project, extractor, record.comparability_key)
        compute = ready.extractors[0].compute_key(ready.ranges)
        store.put_key(compute)
        place = compute.id
        for _, measured in partials_of(project, ready, [tuple(data)], data, progress):
            store.put_partial(place, shard.id, measured, ready.extractors[0].layers)
    return store.partial_images(place, shard.id)


def from_one_colour(features: ImageFeatures, one_colour: ImageFeatures, scales: Mapping[str, F64]) -> F64:
    """How far each image is from the nearest image of one colour: root mean square differences over neurons.

    Args:
        features: of the images.
        one_colour: see `one_coloured_features`.
        scales: the unit of every neuron, by layer.

    Returns:
        (n_images,); NaN where an average is NaN.
    """
    colours = {name: finite(rows) / scales[name] for name, rows in one_colour.pooled.items()}
    n_neurons = max(sum(map(len, scales.values())), 1)
    found = np.empty(len(features.digests))
    for start in range(0, len(found), _ROWS):
        part = slice(start, start + _ROWS)
        squares = np.zeros((len(found[part]), len(one_colour.digests)))
        for name, rows in features.pooled.items():
            some = finite(rows[part]) / scales[name]
            for place, colour in enumerate(colours[name]):
                squares[:, place] += ((some - colour) ** 2).sum(axis=1)
        found[part] = np.sqrt(squares.min(axis=1) / n_neurons)
    return found
