"""Tests of `dna_pipelines.analysis.selections`."""
