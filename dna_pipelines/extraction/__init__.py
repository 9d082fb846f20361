"""Frozen networks and their activations: the only room that imports torch.

`extractor` says what a network and an extractor are; `calibration` and `partials` use them. Around these:

- `files/`: what is known without torch: names, weight files, hub, change tokens
- `devices/`: processors and GPUs, reproducible settings, the fold on a GPU
- `networks/`: the architectures of the package
- `probing/`: layers, neuron axes, the determinism check
- `loading/`: from a name or location to a network
- `stream/`: batches of images through a network
- `views/`: virtual neurons

Importing the package, or `files/`, does not load torch.
"""
