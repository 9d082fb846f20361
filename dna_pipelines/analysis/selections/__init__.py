"""Selections of neurons: stored in versions, read from files of weights, and learned from metadata."""
