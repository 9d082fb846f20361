"""The digest of weight files, for functions that build networks of your own (docs/extractors.md)."""

from dna_pipelines.extraction.files.weight_files import digest_of_files

__all__ = ["digest_of_files"]
