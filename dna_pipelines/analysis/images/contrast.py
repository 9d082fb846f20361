"""What an attribution compares: the images of A that may contribute to a difference, and the images of B."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.analysis.significance.block_counts import counts_of, counts_of_remainder
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.distributions import Layers
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.project.image_set import StoredImageSet
from dna_pipelines.project.progress import Progress, counted
from dna_pipelines.project.project import ProjectFolder

U64 = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Contrast:
    """Two sets of images, with their features and their counts.

    Attributes:
        extractor: its name.
        layers: the layers of the neurons that the counts are of.
        a: the images that may contribute to the difference.
        b: the images that they are compared with.
        counts_a, counts_b: (n_neurons, n_bins) of each set.
        blocks_a, blocks_b: (n_neurons, n_blocks, n_coarse_bins) of each set.
        n_images_counted: the number of images in `counts_a`. It exceeds the length of `a` where A and B are versions
            whose shards hold images of both.
        only_new: A and B are versions of one dataset, and `a` holds only the images that B does not have.
    """

    extractor: str
    layers: Layers
    a: FeatureTable
    b: FeatureTable
    counts_a: U64
    counts_b: U64
    blocks_a: U64
    blocks_b: U64
    n_images_counted: int
    only_new: bool = False

    @property
    def description(self) -> str:
        """The images of A as a noun phrase, for headings."""
        n, label, other = len(self.a), self.a.label, self.b.label
        images = counted(n, "image")
        if not self.only_new:
            return f"the {images} of {label}"
        newer = self.a.images.commit.seq > self.b.images.commit.seq
        if self.n_images_counted > n:
            change = f"added since {other}" if newer else f"not in {other}"
            return f"{label}, of which the {images} {change} {'is' if n == 1 else 'are'} ranked,"
        return f"{images} added since {other}" if newer else f"{images} of {label} not in {other}"

    @property
    def single_block_label(self) -> str | None:
        """The label of a set whose images all lie in one block, so that nothing can be tested; None if there is none.

        The images of one group lie in one block, and so do copies of one image.
        """
        for label, blocks in ((self.a.label, self.blocks_a), (self.b.label, self.blocks_b)):
            if np.count_nonzero(blocks.any(axis=(0, 2))) < 2:
                return label
        return None

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return {
            "a": self.a.label,
            "b": self.b.label,
            "extractor": self.extractor,
            "n_images_a": len(self.a),
            "n_images_b": len(self.b),
            "only_images_not_in_b": self.only_new,
        }


def find_contrast(
    project: ProjectFolder,
    a: str | StoredImageSet,
    b: str | StoredImageSet,
    extractor: str,
    progress: Progress | None = None,
    *,
    all_of_a: bool = False,
) -> Contrast:
    """The contrast of two sets of images.

    Args:
        project: the project that has the images.
        a, b: datasets, versions or slices.
        extractor: one of the project's.
        progress: shows the images of slices that are extracted.
        all_of_a: use all images of A, even if B is another version of the same dataset.

    Raises:
        NothingToCompare: when a set has no DNA, or B has every image of A (`images.none-of-its-own`).
    """
    table_a, table_b = (feature_table(project, reference, extractor, progress) for reference in (a, b))
    counts_a, counts_b = (counts_of(project, table.record.dna_id) for table in (table_a, table_b))
    contrast = Contrast(
        extractor,
        Layers.from_key(table_a.record.layers),
        table_a,
        table_b,
        counts_a.histogram(),
        counts_b.histogram(),
        counts_a.blocks().counts,
        counts_b.blocks().counts,
        len(table_a),
    )
    if all_of_a or not _of_one_dataset(table_a.images, table_b.images):
        return contrast
    new = table_a.images.missing_from(table_b.images)
    if not new:
        raise NothingToCompare(
            f"{table_b.label} has every image of {table_a.label}, so no image can contribute to a difference; swap "
            f"the two to see the images that only {table_b.label} has",
            code="images.none-of-its-own",
            a=table_a.label,
            b=table_b.label,
        )
    return _restricted(project, contrast, new)


def _of_one_dataset(a: StoredImageSet, b: StoredImageSet) -> bool:
    """Whether the sets are versions of one dataset, or the same slice of such versions."""
    return (a.dataset, a.reference.where) == (b.dataset, b.reference.where)


def _restricted(project: ProjectFolder, contrast: Contrast, new: list[int]) -> Contrast:
    """The contrast of the new images of A alone: sampling error of the other images would hide what they contribute."""
    if len(new) == len(contrast.a):
        return contrast
    table = contrast.a.take(new)
    key = contrast.a.record.comparability_key
    counts = counts_of_remainder(project, table.images, contrast.a.images, contrast.b.images, key)
    if isinstance(counts, NotTested):
        # Shards hold images of both versions: all of A is compared with B, and its new images are ranked.
        return replace(contrast, a=table, only_new=True)
    return replace(
        contrast,
        a=table,
        counts_a=counts.histogram(),
        blocks_a=counts.blocks().counts,
        n_images_counted=len(table),
        only_new=True,
    )
