"""Fingerprints without a project: measured, compared and tested in memory."""
