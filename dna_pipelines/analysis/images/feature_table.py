"""The images of a dataset, version or slice: what its manifest and the images measure say of each."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dna_pipelines.distributions import ImageFeatures
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.manifests import ImageRow
from dna_pipelines.project.image_set import Members
from dna_pipelines.project.partials import partial_place
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import find_commit, used_extractor
from dna_pipelines.project.slices import find_slice
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.update.dnas import find_dna
from dna_pipelines.update.slices import fit_slice


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Images of one DNA, in the order of its shards.

    Attributes:
        label: what they were asked for by.
        commit: of the version they are, or are cut from.
        record: of the DNA.
        rows: of the manifest.
        shards: the shard of each.
        features: the rows of the images measure, in the same order.
    """

    label: str
    commit: Commit
    record: DnaRecord
    rows: tuple[ImageRow, ...]
    shards: tuple[str, ...]
    features: ImageFeatures

    def __len__(self) -> int:
        """The number of images."""
        return len(self.rows)

    def take(self, places: Sequence[int]) -> ImageRows:
        """Some of the images, in the order asked for."""
        chosen = np.asarray(places, np.int64)
        features = ImageFeatures(
            tuple(self.features.digests[place] for place in chosen),
            {name: rows[chosen] for name, rows in self.features.pooled.items()},
            self.features.signs[chosen],
        )
        rows = tuple(self.rows[place] for place in chosen)
        return replace(self, rows=rows, shards=tuple(self.shards[place] for place in chosen), features=features)

    @cached_property
    def members(self) -> Members:
        """Which images they are."""
        return Members(self.label, self.commit, [row.item for row in self.rows], [row.name for row in self.rows])

    @cached_property
    def columns(self) -> list[str]:
        """The columns of their metadata."""
        return sorted({name for row in self.rows for name in row.metadata or {}})

    def described(self, place: int) -> dict[str, Any]:
        """One image as a JSON value."""
        row = self.rows[place]
        return {
            "path": row.name,
            "digest": row.digest,
            "group": row.group,
            "metadata": dict(row.metadata or {}),
            "shard": self.shards[place],
        }


def image_rows(project: ProjectFolder, reference: str, extractor: str, progress: Progress | None = None) -> ImageRows:
    """The images of a dataset, version or slice. The DNA of a slice is made if it is missing.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when it has no DNA.
        LakeError: when a partial of it is gone.
    """
    store, named = project.lake.fingerprints, Reference.parse(reference)
    if named.where:
        found = find_slice(project, named)
        commit, told = found.commit, list(found.rows)
        record = fit_slice(project, found, extractor, progress)[0]
    else:
        commit = find_commit(project, named)
        known = store.dna_record(dna_id(used_extractor(project, extractor).comparability_key, commit.version_id))
        record = known or _missing(project, reference, extractor)
        told = project.lake.versions.manifest(commit).readable
    by_digest: dict[str | None, deque[ImageRow]] = defaultdict(deque)
    for row in told:
        by_digest[row.digest].append(row)
    parts: list[ImageFeatures] = []
    rows: list[ImageRow] = []
    shards: list[str] = []
    for shard in record.shards:
        features = store.partial_images(partial_place(project, record, shard), shard)
        parts.append(features)
        rows += [by_digest[digest].popleft() for digest in features.digests]
        shards += [shard] * len(features.digests)
    return ImageRows(reference, commit, record, tuple(rows), tuple(shards), joined(parts, reference))


def _missing(project: ProjectFolder, reference: str, extractor: str) -> DnaRecord:
    """Raises what whoever looks for the DNA says of its absence."""
    dna = find_dna(project, reference, extractor)
    if record := project.lake.fingerprints.dna_record(dna.id):
        return record
    raise LakeError(f"the DNA of {reference} is gone; run `dna run`")


def joined(parts: Sequence[ImageFeatures], reference: str) -> ImageFeatures:
    """The rows of all parts: at once, because merging them one by one would copy each many times.

    Raises:
        LakeError: when parts keep averages of different layers, which no key says: `image_layers` is in none.
    """
    kept = {tuple(part.pooled) for part in parts}
    if len(kept) > 1:
        raise LakeError(
            f"shards of {reference} keep averages of different layers ({' / '.join(sorted(map(', '.join, kept)))}), "
            "because the image_layers of the network changed in between; give the network another `architecture`, and "
            "`dna run` makes its DNAs anew"
        )
    return ImageFeatures(
        tuple(digest for part in parts for digest in part.digests),
        {name: np.concatenate([part.pooled[name] for part in parts]) for name in parts[0].pooled},
        np.concatenate([part.signs for part in parts]),
    )
