"""Tests of `dna_pipelines.analysis.significance`."""
