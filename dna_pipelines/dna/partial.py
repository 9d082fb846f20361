"""The measurement of one shard."""

from __future__ import annotations

from dataclasses import dataclass

from dna_pipelines.distributions import Blocks, Histogram, ImageFeatures, Moments


@dataclass(frozen=True, eq=False)
class Partial:
    """All measures of one shard, taken in one pass over its images."""

    histogram: Histogram
    moments: Moments
    blocks: Blocks
    images: ImageFeatures

    def merge(self, other: Partial) -> Partial:
        """The partial of both sets of images together; counts are exact."""
        return Partial(
            self.histogram.merge(other.histogram),
            self.moments.merge(other.moments),
            self.blocks.merge(other.blocks),
            self.images.merge(other.images),
        )
