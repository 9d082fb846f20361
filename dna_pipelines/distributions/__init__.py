"""What is measured of every neuron: histograms, moments, coarse counts per block, rows per image.

Each measure has the same verbs: `empty`, `merge` (associative, with `empty` as identity) and, for
activations, the fold in `fold.py`. Belongs here: arrays and arithmetic. Does not: files, networks.
"""

from dna_pipelines.distributions.binning import COARSE_BINS, N_BINS, Binning
from dna_pipelines.distributions.blocks import Blocks
from dna_pipelines.distributions.histogram import Histogram
from dna_pipelines.distributions.images import ImageFeatures
from dna_pipelines.distributions.layers import Layer, Layers
from dna_pipelines.distributions.moments import Covariance, Moments

__all__ = [
    "COARSE_BINS",
    "N_BINS",
    "Binning",
    "Blocks",
    "Covariance",
    "Histogram",
    "ImageFeatures",
    "Layer",
    "Layers",
    "Moments",
]
