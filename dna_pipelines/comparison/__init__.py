"""Distances between DNAs: per neuron, per layer, per selection, and for many pairs at once; what follows from them.

Belongs here: arithmetic on counts and moments. Does not: files, networks, decisions.
"""

from dna_pipelines.comparison.compare import Comparison, compare
from dna_pipelines.comparison.distances import emd_bins, fd, nfd
from dna_pipelines.comparison.metrics import Metric, metric, neuron_distances, summary_in
from dna_pipelines.comparison.pairs import (
    LayerDistance,
    LayerMeasures,
    SteeredDistance,
    layer_distances,
    portions,
    steered_distances,
)
from dna_pipelines.comparison.selection import Selection
from dna_pipelines.comparison.significance import (
    LayerSignificance,
    Significance,
    significance,
    too_coarse,
    why_untestable,
)

__all__ = [
    "Comparison",
    "LayerDistance",
    "LayerMeasures",
    "LayerSignificance",
    "Metric",
    "Selection",
    "Significance",
    "SteeredDistance",
    "compare",
    "emd_bins",
    "fd",
    "layer_distances",
    "metric",
    "neuron_distances",
    "nfd",
    "portions",
    "significance",
    "steered_distances",
    "summary_in",
    "too_coarse",
    "why_untestable",
]
