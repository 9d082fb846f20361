"""What a person asks of fingerprints: comparisons, matrices, maps, history and selections of neurons."""
