"""Which groups, shards and metadata values of A contribute most to its distance from B."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from dna_pipelines.analysis.images.aliases import with_aliases
from dna_pipelines.analysis.images.attribution import Decomposition, decompose, feature_shares
from dna_pipelines.analysis.images.contrast import Contrast, find_contrast
from dna_pipelines.comparison import emd_bins
from dna_pipelines.errors import UnknownName
from dna_pipelines.manifests import ImageRow
from dna_pipelines.project.partials import partial_location
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.slices import GROUP

SHARD = "shard"
"""The name that stands for the shards, even if the metadata have a column of that name."""


@dataclass(frozen=True)
class GroupContribution:
    """What the images of A with one value contribute to the difference.

    Attributes:
        value: that the images have in common; None for images without a value.
        n_images: the number of images.
        share_of_images: of all images of A.
        share: of the difference. All shares add up to 1; a negative share draws A towards B.
        contribution_bins: the mean contribution of the images to the EMD; None where it is known by features only.
        emd_bins_without: the EMD without the images; None where it is known by features only, or no image remains.
    """

    value: str | None
    n_images: int
    share_of_images: float
    share: float
    contribution_bins: float | None = None
    emd_bins_without: float | None = None

    @property
    def lift(self) -> float:
        """The share of the difference divided by the share of the images; 1 is average."""
        return self.share / self.share_of_images

    def facts(self) -> dict[str, Any]:
        """The numbers of the group, by name."""
        return {
            "value": self.value,
            "n_images": self.n_images,
            "share_of_images": self.share_of_images,
            "share": self.share,
            "contribution_bins": self.contribution_bins,
            "emd_bins_without": self.emd_bins_without,
        }


@dataclass(frozen=True, eq=False)
class AttributionByGroup:
    """What groups of images of A contribute to its distance from B.

    Attributes:
        contrast: what was compared.
        by: `group`, `shard` or the column of the metadata.
        emd_bins, significant_emd_bins: see `Attribution`.
        exact: whether contributions are those of all positions in all layers, not those of features.
        groups: the largest share first.
    """

    contrast: Contrast
    by: str
    emd_bins: float
    significant_emd_bins: float
    exact: bool
    groups: tuple[GroupContribution, ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, with the former names of keys."""
        return with_aliases(
            {
                **self.contrast.to_json(),
                "by": self.by,
                "emd_bins": self.emd_bins,
                "significant_emd_bins": self.significant_emd_bins,
                "exact": self.exact,
                "groups": [group.facts() for group in self.groups],
            }
        )


def attribute_by_group(
    project: ProjectFolder, a: str, b: str, by: str, *, extractor: str | None = None, progress: Progress | None = None
) -> AttributionByGroup:
    """What groups of images of A contribute to its distance from B.

    Contributions of shards are exact, from their partials, and include all images of A: of two versions, the shards
    that both have contribute about nothing. Contributions of groups and values are sums over the features of images.

    Args:
        project: the project that has the images.
        a, b: as for `attribute`.
        by: a column of the metadata, `group` or `shard`.
        extractor: one of the project's; its first by default.
        progress: shows the images of slices that are extracted.

    Raises:
        NothingToCompare: when a set has no DNA, or B has every image of A (`images.none-of-its-own`).
        UnknownName: when the images have no such column (`name.column`).
    """
    name = project.extractor_name(extractor)
    contrast = find_contrast(project, a, b, name, progress, all_of_a=by == SHARD)
    decomposition = decompose(contrast)
    known = list(dict.fromkeys([*contrast.a.columns, GROUP, SHARD]))
    if by not in known:
        raise UnknownName(
            f"the images of {a} have no column '{by}'; there are: {', '.join(known)}",
            code="name.column",
            reference=a,
            column=by,
            known=known,
        )
    groups = _by_shard(project, decomposition) if by == SHARD else _by_value(contrast, by)
    return AttributionByGroup(
        contrast,
        by,
        decomposition.emd_bins,
        decomposition.significant_emd_bins,
        by == SHARD,
        tuple(sorted(groups, key=lambda group: -group.share)),
    )


def _by_shard(project: ProjectFolder, decomposition: Decomposition) -> list[GroupContribution]:
    contrast, store = decomposition.contrast, project.lake.fingerprints
    record, n_images_in_all = contrast.a.record, len(contrast.a)
    groups = []
    for shard, n_images in Counter(contrast.a.shards).items():
        counts = store.partial_histogram(partial_location(project, record, shard), shard).counts
        contribution = decomposition.contribution(counts)
        # Copies of images within a dataset can fill the same shard several times.
        n_occurrences = np.uint64(record.shards.count(shard))
        without = None
        if n_images < n_images_in_all:
            remaining = contrast.counts_a - n_occurrences * counts
            without = decomposition.selection.mean(emd_bins(remaining, contrast.counts_b))
        share = decomposition.share(contribution, n_images)
        groups.append(GroupContribution(shard, n_images, n_images / n_images_in_all, share, contribution, without))
    return groups


def _by_value(contrast: Contrast, by: str) -> list[GroupContribution]:
    shares = np.nan_to_num(feature_shares(contrast))
    indices: dict[str | None, list[int]] = defaultdict(list)
    for index, row in enumerate(contrast.a.rows):
        indices[_value(row, by)].append(index)
    n_images = len(contrast.a)
    return [
        GroupContribution(value, len(members), len(members) / n_images, float(shares[members].sum()))
        for value, members in indices.items()
    ]


def _value(row: ImageRow, by: str) -> str | None:
    metadata = row.metadata or {}
    return row.group if by == GROUP and GROUP not in metadata else metadata.get(by)
