"""What `dna run` does: plan, ingest, calibrate, fingerprint, and compare the pairs of the matrix."""
