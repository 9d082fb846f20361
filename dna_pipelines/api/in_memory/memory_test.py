"""The significance test of two fingerprints in memory: a project's test, whose counts are measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dna_pipelines.analysis.significance.measurements import BlockCounts
from dna_pipelines.analysis.significance.pair import pair_significance
from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.api.inputs.collection import Collection
from dna_pipelines.api.results.tables import Table
from dna_pipelines.comparison import Selection, Significance
from dna_pipelines.distributions import Blocks, Layers
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import Incomparable
from dna_pipelines.identity import Item, multiset_id
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.reference import Reference
from dna_pipelines.storage import Commit
from dna_pipelines.storage.significance import SignificanceKey

if TYPE_CHECKING:
    from dna_pipelines.api.in_memory.fingerprint import Fingerprint


def memory_significance(a: Fingerprint, b: Fingerprint, n_permutations: int, progress: Progress) -> SignificanceResult:
    """See `Fingerprint.test`."""
    one, two = _image_set(a), _image_set(b)
    measured = _MemoryMeasurements({one.dataset: a, two.dataset: b}, progress)
    return pair_significance(measured, one, two, Selection.everything(a.dna.layers), n_permutations, progress)


class _Listing:
    """The images of a collection, as a set of images reads them."""

    def __init__(self, images: Collection) -> None:
        self.members: tuple[Sequence[Item], Sequence[str]] = images.items, images.names


def _image_set(whole: Fingerprint) -> ImageSet:
    # The label first, as datasets of a project are ordered; two collections are never versions of one dataset.
    images = whole.images
    name = f"{whole.label}\0{whole.dna.id}"
    commit = Commit.model_construct(
        dataset=name, seq=0, version_id=multiset_id(images.items), n_images=len(images.items)
    )
    return ImageSet(whole.label, "version", Reference(name), commit, _Listing(images))


@dataclass(frozen=True)
class _MemoryCounts:
    """The counts of all images of a fingerprint, or of some of them, which are measured again."""

    images: ImageSet
    whole: Fingerprint
    progress: Progress

    def blocks(self, layer: int | None = None) -> Blocks:
        """See `BlockCounts`."""
        if layer is None:
            return self._measured
        layers = self.whole.dna.layers
        return Blocks(self._measured.counts[layers.slice_of(layers.names[layer])], self._measured.n_images)

    @cached_property
    def _measured(self) -> Blocks:
        chosen, whole = self.images, self.whole
        if dna_id(whole.dna.key.id, chosen.id) == whole.dna.id:
            return whole.blocks
        empty = Table(("path", "reason", "detail"), ())
        part = Collection(chosen.label, tuple(chosen.items), tuple(chosen.names), empty, whole.images.read)
        dna, blocks = whole.measuring.measure(part, self.progress)
        # A pickled fingerprint may meet another version of its network.
        if differences := dna.key.differences(whole.dna.key):
            raise Incomparable(
                f"the network of {whole.label} changed since it was measured:\n  " + "\n  ".join(differences),
                code="api.incomparable",
                differences=differences,
            )
        return blocks


@dataclass(frozen=True)
class _MemoryMeasurements:
    """See `Measurements`: of fingerprints, by the datasets of their sets of images. No result is stored."""

    wholes: Mapping[str, Fingerprint]
    progress: Progress

    def dna_id(self, images: ImageSet) -> str:
        return dna_id(self.wholes[images.dataset].dna.key.id, images.id)

    def counts(self, images: ImageSet) -> BlockCounts:
        return _MemoryCounts(images, self.wholes[images.dataset], self.progress)

    def counts_of_remainder(self, remainder: ImageSet, large: ImageSet, small: ImageSet) -> BlockCounts:  # noqa: ARG002
        return self.counts(remainder)

    def measure_sample(self, sample: ImageSet) -> int:  # noqa: ARG002 (measured when its counts are read)
        return 0

    def stored(self, key: SignificanceKey, layers: Layers) -> Significance | None:  # noqa: ARG002
        return None

    def store(self, key: SignificanceKey, result: Significance, layers: Layers) -> str:  # noqa: ARG002
        return ""
