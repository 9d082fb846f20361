"""`Project` and its methods, in the groups of the reference."""
