"""Dataset fingerprints that keep themselves current.

A dataset's *DNA* is the distribution of every neuron's activations in a frozen network
(Visual DNA, Ramtoula et al., CVPR 2023). This package keeps the DNAs of many image datasets
up to date, compares them neuron by neuron, and stores everything as Parquet.
"""

__version__ = "0.1.0"
