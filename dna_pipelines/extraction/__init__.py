"""Frozen networks and the activations they give: the only room that knows torch.

Belongs here: networks by name or place, their registry and fingerprints, layer taps, the activation stream.
Does not: files of the lake, what is done with partials. Importing the package does not load torch.
"""
