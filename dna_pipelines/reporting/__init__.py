"""Results as pictures and words: the matrix, the map, comparisons, contact sheets and what changed.

Belongs here: presenting results. Does not: computing them, terminals, Dagster.
"""
