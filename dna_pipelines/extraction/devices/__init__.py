"""Processors and GPUs: which ones a name means, reproducible settings of torch, and the fold on a GPU.

Belongs here: everything that differs between devices. Does not: networks.
"""
