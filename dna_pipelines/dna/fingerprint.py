"""The DNA of a dataset version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Blocks, Histogram, Layers, Moments
from dna_pipelines.errors import Incomparable
from dna_pipelines.identity import Key, stable_hash


def dna_id(comparability_key: str, version_id: str) -> str:
    """The id of a version's DNA: decided before anything is computed."""
    return stable_hash(["dna", comparability_key, version_id])


@dataclass(frozen=True, eq=False)
class Dna:
    """The sum of the partials of one dataset version.

    Attributes:
        id: see `dna_id`.
        key: the comparability key; only DNAs of equal keys can be compared.
        layers: the layers that the arrays of the measures run over.
        label: what messages call it.
    """

    id: str
    key: Key
    layers: Layers
    histogram: Histogram
    moments: Moments
    label: str = ""

    @property
    def counts(self) -> NDArray[np.uint64]:
        """(n_neurons, n_bins) the counts of the histogram."""
        return self.histogram.counts

    def require_comparable(self, other: Dna) -> None:
        """Raise unless both were measured in the same way.

        Raises:
            Incomparable: listing every difference, and the command that mends it.
        """
        differences = self.key.differences(other.key)
        if differences:
            raise Incomparable(
                f"{self.label or self.id} and {other.label or other.id} were not measured the same way:\n  "
                + "\n  ".join(differences)
                + "\nCall project.update() or run `dna run` so that both have a DNA of the current extractor and "
                "ranges.",
                code="compare.different-keys",
                a=self.label or self.id,
                b=other.label or other.id,
                differences=differences,
            )


def sum_partials(
    parts: Iterable[tuple[Histogram, Moments, Blocks]], n_neurons: int, n_bins: int
) -> tuple[Histogram, Moments, Blocks]:
    """Add up the measures of shards, one after the other, so that memory stays flat."""
    histogram, moments, blocks = Histogram.empty(n_neurons, n_bins), Moments.empty(n_neurons), Blocks.empty(n_neurons)
    for part_histogram, part_moments, part_blocks in parts:
        histogram.add(part_histogram)
        moments = moments.merge(part_moments)
        blocks.add(part_blocks)
    return histogram, moments, blocks
