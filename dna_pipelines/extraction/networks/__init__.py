"""The architectures that come with the package, and how published checkpoints are read into them.

Belongs here: modules of torch, the names of their layers, the names in checkpoints. Does not: names and locations of
the datasets file.
"""
