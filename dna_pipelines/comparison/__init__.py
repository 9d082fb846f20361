"""Distances between DNAs: per neuron, per layer, per selection, and for many pairs at once.

Belongs here: arithmetic on counts and moments. Does not: files, networks, verdicts.
"""

from dna_pipelines.comparison.compare import Comparison, compare
from dna_pipelines.comparison.distances import emd_bins, fd, nfd
from dna_pipelines.comparison.pairs import LayerDistance, LayerMeasures, layer_distances
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.comparison.significance import LayerSignificance, Significance, significance, why_untestable

__all__ = [
    "Comparison",
    "LayerDistance",
    "LayerMeasures",
    "LayerSignificance",
    "Selection",
    "Significance",
    "compare",
    "emd_bins",
    "fd",
    "layer_distances",
    "nfd",
    "significance",
    "why_untestable",
]
