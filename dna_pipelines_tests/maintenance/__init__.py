"""Tests of `dna_pipelines.maintenance`."""
