"""The activation stream: batches of images through a network, every stage beside the others, and the time of each.

Belongs here: threads, queues, lanes, stage times. Does not: what is computed from activations.
"""
