"""Networks of your own: what `fingerprint(network=…)` takes besides names."""

from dna_pipelines.extraction.extractor import Network

__all__ = ["Network"]
