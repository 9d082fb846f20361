"""The input of a significance test: counts of sets of images, samples measured for it, and a store of results.

The design of a test and its result are the same wherever the counts come from; a project's lake is one such source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dna_pipelines.analysis.significance.block_counts import counts_of, counts_of_remainder
from dna_pipelines.analysis.significance.subsample import fit_sample
from dna_pipelines.comparison import Significance
from dna_pipelines.comparison.caveats import NotTested
from dna_pipelines.distributions import Blocks, Layers
from dna_pipelines.dna import dna_id
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.files import if_writable
from dna_pipelines.storage.significance import SignificanceKey


class BlockCounts(Protocol):
    """The counts of a set of images by block, read when they are needed."""

    def blocks(self, layer: int | None = None) -> Blocks:
        """The counts of all layers, or of the layer with this index."""


class Measurements(Protocol):
    """The counts for significance tests. All of them have one comparability key."""

    def dna_id(self, images: ImageSet) -> str:
        """The id of the DNA of these images, whether or not it exists."""

    def counts(self, images: ImageSet) -> BlockCounts:
        """The counts of these images; nothing is read or measured yet."""

    def counts_of_remainder(self, remainder: ImageSet, large: ImageSet, small: ImageSet) -> BlockCounts | NotTested:
        """The counts of `remainder`, which is `large.without(small)`; or why they cannot be separated from others."""

    def measure_sample(self, sample: ImageSet) -> int:
        """Make sure that the counts of a sample can be read.

        Returns:
            The number of images extracted and stored for it.

        Raises:
            UserError: when images have to be extracted and cannot be read.
        """

    def stored(self, key: SignificanceKey, layers: Layers) -> Significance | None:
        """The stored result of the same test; None if there is none."""

    def store(self, key: SignificanceKey, result: Significance, layers: Layers) -> str:
        """Store a result, if results are stored; returns why it could not be, empty where nothing was wrong."""


@dataclass(frozen=True)
class LakeMeasurements:
    """The measurements of a project.

    Attributes:
        project: the project of the DNAs.
        key: their comparability key.
        extractor: the name of the extractor that measures samples by this key.
        progress: shows the images of a sample being extracted.
    """

    project: ProjectFolder
    key: str
    extractor: str
    progress: Progress | None = None

    def dna_id(self, images: ImageSet) -> str:
        """See `Measurements`."""
        return dna_id(self.key, images.id)

    def counts(self, images: ImageSet) -> BlockCounts:
        """See `Measurements`."""
        return counts_of(self.project, self.dna_id(images))

    def counts_of_remainder(self, remainder: ImageSet, large: ImageSet, small: ImageSet) -> BlockCounts | NotTested:
        """See `Measurements`."""
        return counts_of_remainder(self.project, remainder, large, small, self.key)

    def measure_sample(self, sample: ImageSet) -> int:
        """See `Measurements`; its DNA is stored."""
        return fit_sample(self.project, sample, self.key, self.extractor, self.progress)

    def stored(self, key: SignificanceKey, layers: Layers) -> Significance | None:
        """See `Measurements`."""
        return self.project.lake.significance.get(key, layers)

    def store(self, key: SignificanceKey, result: Significance, layers: Layers) -> str:
        """See `Measurements`."""
        return if_writable(lambda: self.project.lake.significance.put(key, result, layers))
