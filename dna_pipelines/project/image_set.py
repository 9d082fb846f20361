"""A set of images: a version of a dataset, a slice of one, a sample, or what remains of one without another.

A command resolves a reference once, with `resolve_image_set`, and passes the `ImageSet` on. Its identity is typed;
its label is for display and is never read back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import NothingToCompare
from dna_pipelines.identity import N_BLOCKS, Item, block_of, lot_of, multiset_id
from dna_pipelines.manifests import ImageRow, Manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Condition, Reference
from dna_pipelines.project.resolve import find_commit
from dna_pipelines.project.slices import matching_rows
from dna_pipelines.storage import Commit
from dna_pipelines.storage.versions import Versions

Kind = Literal["version", "slice", "sample", "remainder"]

T = TypeVar("T")


class Listing(Protocol):
    """The readable images of a commit."""

    @property
    def members(self) -> tuple[Sequence[Item], Sequence[str]]:
        """The item and the path of every readable image."""


class CommitListing:
    """The readable images of a commit of a lake, read at first use."""

    def __init__(self, versions: Versions, commit: Commit) -> None:
        self._versions, self._commit = versions, commit

    @cached_property
    def members(self) -> tuple[Sequence[Item], Sequence[str]]:
        """See `Listing`; reads two columns of the manifest, which is faster than reading all of it.

        Raises:
            LakeError: when the version was pruned, or its manifest is damaged.
        """
        if "manifest" in vars(self):
            readable = self.manifest.readable
            return [row.item for row in readable], [row.name for row in readable]
        return self._versions.members(self._commit)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, whose readable rows are in the same order.

        Raises:
            LakeError: as `members`.
        """
        return self._versions.manifest(self._commit)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A multiset of images of one dataset.

    Attributes:
        label: its name for display. Nothing depends on it.
        kind: whether it is a whole version, a slice, a sample, or a remainder (what one set has and another lacks, or
            what two sets share).
        reference: what it was resolved from; for a sample or a remainder, the reference of the set it is taken from.
        commit: the commit of the version it is, or is taken from.
        listing: the images of that commit.
        indices: which of them are in the set; None means all.
    """

    label: str
    kind: Kind
    reference: Reference
    commit: Commit
    listing: Listing
    indices: tuple[int, ...] | None = None

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return self.commit.dataset

    @cached_property
    def id(self) -> str:
        """The id of the multiset. Equal sets have equal ids, whatever their labels."""
        return self.commit.version_id if self.indices is None else multiset_id(self.items)

    @property
    def n_images(self) -> int:
        """The number of images; copies count."""
        return self.commit.n_images if self.indices is None else len(self.indices)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The digest and the group of every image; every copy is an item."""
        return self._chosen(self.listing.members[0])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The paths of the images, in the order of `items`."""
        return self._chosen(self.listing.members[1])

    @cached_property
    def digests(self) -> Counter[str]:
        """How often each image occurs, whatever its group."""
        return Counter(item.digest for item in self.items)

    @cached_property
    def groups(self) -> set[str]:
        """The groups of the images."""
        return {item.group for item in self.items if item.group is not None}

    @cached_property
    def in_blocks(self) -> NDArray[np.uint64]:
        """(N_BLOCKS,) the number of images in each statistical block, equal to those of their DNA."""
        blocks = np.fromiter(map(block_of, self.items), np.int64, len(self.items))
        return np.bincount(blocks, minlength=N_BLOCKS).astype(np.uint64)

    @cached_property
    def lots(self) -> NDArray[np.float64]:
        """(n_images,) the lot of every image; see `lot_of`."""
        return np.fromiter(map(lot_of, self.items), np.float64, len(self.items))

    def holds(self, other: ImageSet) -> bool:
        """Whether this set contains all images of another, in the same groups."""
        return Counter(other.items) <= Counter(self.items)

    def missing_from(self, other: ImageSet) -> list[int]:
        """The indices of the images that another set does not have, whatever their groups there.

        Of copies, those of the same group are matched first: they lie in the same blocks.
        """
        unmatched = Counter(other.items)
        rest = [index for index, item in enumerate(self.items) if not _matched(unmatched, item)]
        digests = Counter(item.digest for item in unmatched.elements())
        return [index for index in rest if not _matched(digests, self.items[index].digest)]

    def take(self, indices: Iterable[int], label: str, kind: Kind) -> Self:
        """Some of the images, in the order given."""
        own = self.indices
        chosen = tuple(int(index) if own is None else own[index] for index in indices)
        return replace(self, label=label, kind=kind, indices=chosen)

    def both(self, other: ImageSet) -> Self:
        """The images that another set also has."""
        missing = set(self.missing_from(other))
        return self.take((index for index in range(len(self.items)) if index not in missing), self.label, "remainder")

    def without(self, other: ImageSet) -> Self:
        """The images that another set does not have."""
        return self.take(self.missing_from(other), f"{self.label} without {other.label}", "remainder")

    def _chosen(self, values: Sequence[T]) -> tuple[T, ...]:
        return tuple(values) if self.indices is None else tuple(values[index] for index in self.indices)


@dataclass(frozen=True, eq=False)
class StoredImageSet(ImageSet):
    """An image set of a lake, which has a manifest."""

    listing: CommitListing

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version it is, or is taken from."""
        return self.listing.manifest

    @cached_property
    def rows(self) -> tuple[ImageRow, ...]:
        """The rows of the manifest."""
        return self._chosen(self.manifest.readable)

    def narrowed(self, *conditions: Condition) -> StoredImageSet:
        """The slice of a version, or of a slice, for whose images further conditions hold.

        Raises:
            UnknownName: when the version has no such column.
            NothingToCompare: when no image matches.
        """
        reference = replace(self.reference, where=(*self.reference.where, *conditions))
        indices = tuple(matching_rows(reference, self.manifest.readable))
        return replace(self, label=str(reference), kind="slice", reference=reference, indices=indices)


def resolve_image_set(project: ProjectFolder, reference: str | Reference | StoredImageSet) -> StoredImageSet:
    """The images that a reference names. An image set is returned as it is.

    Args:
        project: where they are.
        reference: of a dataset, a version or a slice; see `project.reference`.

    Raises:
        UnknownName: when there is no such dataset, version or column.
        NothingToCompare: when the dataset has not been scanned or is empty, or when no image matches.
    """
    if isinstance(reference, StoredImageSet):
        return reference
    named = Reference.parse(reference) if isinstance(reference, str) else reference
    commit = find_commit(project, named.whole)
    version = version_image_set(project, commit, str(reference), named)
    if named.where:
        indices = tuple(matching_rows(named, version.rows))
        return replace(version, kind="slice", reference=named, indices=indices)
    if not commit.n_images:
        raise NothingToCompare(
            f"{reference} has no readable image; project.scan() or `dna status` shows what was quarantined",
            code="compare.empty",
            reference=str(reference),
        )
    return version


def version_image_set(
    project: ProjectFolder, commit: Commit, label: str = "", reference: Reference | None = None
) -> StoredImageSet:
    """All images of a commit, which may be none."""
    named, listing = (
        reference or Reference(commit.dataset, str(commit.seq)),
        CommitListing(project.lake.versions, commit),
    )
    return StoredImageSet(label or str(named), "version", named.whole, commit, listing)


def _matched(unmatched: Counter[T], value: T) -> bool:
    """Whether a value is among those that are not matched yet; if so, it counts as matched from then on."""
    if unmatched[value] <= 0:
        return False
    unmatched[value] -= 1
    return True
