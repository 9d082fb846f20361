"""Weights and images that are the same on every machine, for networks of any shape."""

import zlib

import numpy as np

_WAVE = np.modf(np.sin(np.arange(1, 4100) * 12.9898) * 43758.5453)[0]  # in (-1, 1), and as good as random


def uniform(name, shape):
    """Values in (-1, 1) that depend on a name."""
    start = zlib.crc32(name.encode()) % len(_WAVE)
    return np.resize(np.roll(_WAVE, -start), shape).astype(np.float32)


def published_state(shapes):
    """A checkpoint: for each (name, shape), values as large as those of trained weights."""
    return {name: np.asarray(_values(name, tuple(shape))) for name, shape in shapes}


def images(n_images, size_px):
    """(n_images, 3, size_px, size_px) float32."""
    return uniform("images", (n_images, 3, size_px, size_px))


def summary(layer):
    """The statistics of a layer's (n_images, n_neurons, n_positions) activations."""
    flat = np.asarray(layer, dtype=np.float64)
    picked = flat.reshape(-1)[:: max(1, flat.size // 7)][:7]
    return [float(flat.mean()), float(flat.std()), *map(float, picked)]


def _values(name, shape):
    drawn = uniform(name, shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if "running_var" in name:
        return 1 + 0.3 * drawn
    if len(shape) > 1 and not any(part in name for part in ("pos", "cls_token")):
        return drawn * np.float32((4.5 / np.prod(shape[1:])) ** 0.5)
    is_norm = any(part in name.rpartition(".")[0].rpartition(".")[2] for part in ("norm", "bn", "ln", "downsample"))
    if name.endswith("weight") and (is_norm or name.endswith("downsample.1.weight")):
        return 1 + 0.2 * drawn
    return 0.3 * drawn
