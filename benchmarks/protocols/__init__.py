"""Evaluation protocols: what the method is worth, on pictures that need no download."""
