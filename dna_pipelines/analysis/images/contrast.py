"""The two sides of an attribution: the images of A, and what they are held against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.analysis.significance.block_counts import counts_of, counts_of_rest
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.distributions import Layers
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress, counted
from dna_pipelines.project.project import ProjectFolder

U64 = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Sides:
    """What is compared.

    Attributes:
        extractor: its name.
        layers: the layers that the counts run over.
        rows_a: the images that may carry the difference.
        rows_b: those they are held against.
        counts_a, counts_b: (n_neurons, n_bins) of both.
        blocks_a, blocks_b: (n_neurons, n_blocks, n_coarse_bins) of both.
        n_counted: images that A's counts are of: more than `rows_a` where shards hold both old and added ones.
        of_versions: A and B are versions of one dataset, and `rows_a` are those that B has not.
    """

    extractor: str
    layers: Layers
    rows_a: FeatureTable
    rows_b: FeatureTable
    counts_a: U64
    counts_b: U64
    blocks_a: U64
    blocks_b: U64
    n_counted: int
    of_versions: bool = False

    @property
    def words(self) -> str:
        """What is held against what, for people."""
        n, label, other = len(self.rows_a), self.rows_a.label, self.rows_b.label
        images = counted(n, "image")
        if self.of_versions and self.n_counted > n:
            return f"{label}, of which the {images} that {other} has not {'is' if n == 1 else 'are'} ranked,"
        return f"the {images} that {label} has and {other} has not" if self.of_versions else f"the {images} of {label}"

    @property
    def in_one_block(self) -> str | None:
        """A side whose images are all in one block, so that nothing tells how much chance moves it; None where none is.

        Images in one group are, and so are copies of one image.
        """
        for label, blocks in ((self.rows_a.label, self.blocks_a), (self.rows_b.label, self.blocks_b)):
            if np.count_nonzero(blocks.any(axis=(0, 2))) < 2:
                return label
        return None

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "a": self.rows_a.label,
            "b": self.rows_b.label,
            "extractor": self.extractor,
            "n_images_a": len(self.rows_a),
            "n_images_b": len(self.rows_b),
            "only_what_b_has_not": self.of_versions,
        }


def find_sides(
    project: ProjectFolder,
    a: str | ImageSet,
    b: str | ImageSet,
    extractor: str,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> Sides:
    """Both sides, with the measures that tell their images apart.

    Args:
        project: where they are.
        a, b: datasets, versions or slices.
        extractor: one of the project's.
        progress: shows the images of slices being extracted.
        whole: take all images of A, also where B is another version of the same dataset.

    Raises:
        NothingToCompare: when a side has no DNA, or A has no image that B has not.
    """
    rows_a, rows_b = (feature_table(project, name, extractor, progress) for name in (a, b))
    counts_a, counts_b = (counts_of(project, rows.record.dna_id) for rows in (rows_a, rows_b))
    everything = Sides(
        extractor,
        Layers.from_key(rows_a.record.layers),
        rows_a,
        rows_b,
        counts_a.histogram(),
        counts_b.histogram(),
        counts_a.blocks().counts,
        counts_b.blocks().counts,
        len(rows_a),
    )
    if whole or not _of_one_dataset(rows_a.images, rows_b.images):
        return everything
    places = rows_a.images.missing_from(rows_b.images)
    if not places:
        raise NothingToCompare(
            f"{rows_a.label} has no image that {rows_b.label} does not have, so no image of it can contribute to a "
            f"difference; swap the two to see the images that only {rows_b.label} has",
            code="images.none-of-its-own",
            a=rows_a.label,
            b=rows_b.label,
        )
    return _only(project, everything, places)


def _of_one_dataset(a: ImageSet, b: ImageSet) -> bool:
    """Whether they are versions of one dataset, or the same slice of such versions."""
    return (a.dataset, a.reference.where) == (b.dataset, b.reference.where)


def _only(project: ProjectFolder, whole: Sides, places: list[int]) -> Sides:
    """The same, with those images of A alone: chance among the others would hide what they carry."""
    if len(places) == len(whole.rows_a):
        return whole
    rows = whole.rows_a.take(places)
    large, small, key = whole.rows_a.images, whole.rows_b.images, whole.rows_a.record.comparability_key
    counts = counts_of_rest(project, rows.images, large, small, key)
    if isinstance(counts, NotTested):
        # Shards hold both: the whole of A is held against B, and its images that B has not are ranked.
        return replace(whole, rows_a=rows, of_versions=True)
    return replace(
        whole,
        rows_a=rows,
        counts_a=counts.histogram(),
        blocks_a=counts.blocks().counts,
        n_counted=len(rows),
        of_versions=True,
    )
