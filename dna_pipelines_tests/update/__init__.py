"""Tests of `dna_pipelines.update`."""
