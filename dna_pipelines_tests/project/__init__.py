"""Tests of `dna_pipelines.project`."""
