"""Partials, DNAs and the activation ranges they are binned with.

A partial is the measurement of one shard; a DNA is the sum of the partials its version names.
Belongs here: the objects and their arithmetic. Does not: files, networks, distances.
"""

from dna_pipelines.dna.basis import Basis
from dna_pipelines.dna.fingerprint import Dna, dna_id, sum_partials
from dna_pipelines.dna.imported import Comparable, ImportedDna, layer_differences, require_comparable
from dna_pipelines.dna.partial import Partial
from dna_pipelines.dna.ranges import ActivationRanges, calibration_sample

__all__ = [
    "ActivationRanges",
    "Basis",
    "Comparable",
    "Dna",
    "ImportedDna",
    "Partial",
    "calibration_sample",
    "dna_id",
    "layer_differences",
    "require_comparable",
    "sum_partials",
]
