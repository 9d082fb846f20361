"""The assets: their bodies read what they need, call `update` and `analysis`, and report."""
