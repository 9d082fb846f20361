"""What a network is, found out by running it: its layers, their neuron axes, and whether it is deterministic.

Belongs here: the checks that a network passes before it becomes an extractor. Does not: images of datasets.
"""
