"""The assets: bodies read what they need, call the pipeline, and report."""
