"""The content of a file of activation ranges, and the extractors and DNAs that it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.distributions import Binning, Layers
from dna_pipelines.distributions.binning import N_BINS
from dna_pipelines.dna import ActivationRanges, ImportedDna, layer_differences
from dna_pipelines.errors import Incomparable
from dna_pipelines.identity import Key

F64 = NDArray[np.float64]

SCALE = 1.2
"""The factor that the reference applies to both bounds."""

HIST_RANGE = [-1.0, 1.0]
"""The range that the reference bins, where -1 and 1 are the scaled bounds."""

MARGIN = 1e-8
"""The reference adds this to half the width, so that it never divides by zero."""


@dataclass(frozen=True, eq=False)
class RangesFile:
    """The content of a file of activation ranges.

    Attributes:
        name: of the file, with the beginning of its digest.
        layers: in the order of the file.
        minimum, maximum: (n_neurons,) float64, finite, minimum <= maximum.
        own: the ranges with their exact edges; None unless dna_pipelines wrote the file.
    """

    name: str
    layers: Layers
    minimum: F64
    maximum: F64
    own: ActivationRanges | None

    def ranges(self, layers: Layers, wanted_by: str, n_bins: int = N_BINS, scale: float = SCALE) -> ActivationRanges:
        """The activation ranges for an extractor or DNA that has the layers of the file.

        Args:
            layers: of the extractor or DNA.
            wanted_by: its name, for messages.
            n_bins: number of bins of the histograms.
            scale: factor of the bounds.

        Raises:
            Incomparable: when its layers are not those of the file; `differences` lists all differences.
        """
        differences = layer_differences(self.layers, layers, "the file", wanted_by)
        if differences:
            raise Incomparable(
                f"the ranges of {self.name} do not fit {wanted_by}:\n  " + "\n  ".join(differences),
                code="compare.other-ranges",
                file=self.name,
                wanted_by=wanted_by,
                differences=differences,
            )
        if self.own and (n_bins, scale) == (self.own.binning.n_bins, SCALE):
            return self.own
        binning = reference_binning(self.minimum, self.maximum, n_bins, scale)
        low, high = self.minimum.astype(np.float32), self.maximum.astype(np.float32)
        return ActivationRanges(layers, binning, low, high, (binning.lo + binning.hi) / 2, 0, (), self.name)


def reference_binning(minimum: F64, maximum: F64, n_bins: int = N_BINS, scale: float = SCALE) -> Binning:
    """The edges that the reference derives from observed extremes.

    A neuron whose extremes are equal gets a range 2e-8 wide, in which all but one value is clipped.
    """
    low, high = minimum * scale, maximum * scale
    middle, half = (low + high) / 2, (high - low) / 2 + MARGIN
    return Binning(middle - half, middle + half, n_bins)


def with_ranges(dna: ImportedDna, file: RangesFile) -> ImportedDna:
    """A DNA with the activation ranges that its histograms were binned with, as the user states.

    A DNA without histograms, or one whose file names its ranges, is returned unchanged.

    Raises:
        Incomparable: when the ranges do not have its layers.
    """
    if dna.counts is None or "ranges" in dna.key.parts:
        return dna
    if dna.key.parts["hist_range"] != HIST_RANGE:
        raise Incomparable(
            f"{dna.label} was binned over {dna.key.parts['hist_range']} of its activation ranges, not over [-1, 1]",
            code="compare.binning",
            file=dna.label,
            hist_range=dna.key.parts["hist_range"],
        )
    ranges = file.ranges(dna.layers, dna.label, dna.counts.shape[1], dna.key.parts["range_scale"])
    return replace(dna, key=Key({**dna.key.parts, "ranges": ranges.id}))
