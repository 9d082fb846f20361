"""The features of the images of a dataset, version or slice, as its partials store them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.errors import LakeError
from dna_pipelines.manifests import ImageRow
from dna_pipelines.project.image_set import StoredImageSet, resolve_image_set
from dna_pipelines.project.partials import partial_location
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import DnaRecord
from dna_pipelines.update.dnas import find_record


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of a set of images, by which its DNA was computed.

    Attributes:
        images: in the order of the DNA's shards.
        record: of the DNA.
        shards: the shard of each image.
        features: one row for each image.
    """

    images: StoredImageSet
    record: DnaRecord
    shards: tuple[str, ...]
    features: ImageFeatures

    def __len__(self) -> int:
        """The number of images."""
        return self.images.n_images

    @property
    def label(self) -> str:
        """What people call the images."""
        return self.images.label

    @property
    def rows(self) -> tuple[ImageRow, ...]:
        """The rows of the manifest."""
        return self.images.rows

    @cached_property
    def columns(self) -> list[str]:
        """The columns of the images' metadata."""
        return sorted({name for row in self.rows for name in row.metadata or {}})

    def take(self, indices: Sequence[int]) -> FeatureTable:
        """Some of the images, in the order given."""
        chosen = np.asarray(indices, np.int64)
        features = ImageFeatures(
            tuple(self.features.digests[index] for index in chosen),
            {name: rows[chosen] for name, rows in self.features.pooled.items()},
            self.features.signs[chosen],
        )
        images = self.images.take(chosen.tolist(), self.label, self.images.kind)
        shards = tuple(self.shards[index] for index in chosen)
        return replace(self, images=images, shards=shards, features=features)

    def described(self, index: int) -> dict[str, Any]:
        """One image as a JSON value."""
        row = self.rows[index]
        return {
            "path": row.name,
            "digest": row.digest,
            "group": row.group,
            "metadata": dict(row.metadata or {}),
            "shard": self.shards[index],
        }


def feature_table(
    project: ProjectFolder, reference: str | StoredImageSet, extractor: str, progress: Progress | None = None
) -> FeatureTable:
    """The features of the images of a dataset, version or slice. The DNA of a slice is computed if it is missing.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when it has no DNA.
        LakeError: when one of the DNA's partials is missing.
    """
    images = resolve_image_set(project, reference)
    record, _ = find_record(project, images, extractor, progress)
    store = project.lake.fingerprints
    by_digest: dict[str | None, deque[int]] = defaultdict(deque)
    for index, row in enumerate(images.rows):
        by_digest[row.digest].append(index)
    parts: list[ImageFeatures] = []
    order: list[int] = []
    shards: list[str] = []
    for shard in record.shards:
        features = store.partial_images(partial_location(project, record, shard), shard)
        parts.append(features)
        order += [by_digest[digest].popleft() for digest in features.digests]
        shards += [shard] * len(features.digests)
    ordered = images.take(order, images.label, images.kind)
    return FeatureTable(ordered, record, tuple(shards), joined(parts, images.label))


def joined(parts: Sequence[ImageFeatures], label: str) -> ImageFeatures:
    """The features of all parts, joined at once: merging them one by one would copy each many times.

    Raises:
        LakeError: when parts have features of different layers (`images.different-layers`). No key prevents that,
            because none contains `image_layers`.
    """
    layers = sorted({tuple(part.pooled) for part in parts})
    if len(layers) > 1:
        raise LakeError(
            f"the shards of {label} have features of different layers ({' / '.join(map(', '.join, layers))}), because "
            "`image_layers` of the network changed between two runs; give the network another `architecture` and "
            "run `dna run`, which recomputes its DNAs",
            code="images.different-layers",
            label=label,
            layers=[list(names) for names in layers],
        )
    return ImageFeatures(
        tuple(digest for part in parts for digest in part.digests),
        {name: np.concatenate([part.pooled[name] for part in parts]) for name in parts[0].pooled},
        np.concatenate([part.signs for part in parts]),
    )
