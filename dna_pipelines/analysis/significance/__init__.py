"""Whether a distance is significant: what is permuted, the block counts it takes, and the tests of pairs."""
