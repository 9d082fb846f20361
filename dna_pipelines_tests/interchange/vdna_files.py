"""Small DNAs and their VDNA files."""

import json

import numpy as np

from dna_pipelines.distributions import Histogram, Layer, Layers, Moments
from dna_pipelines.dna import Dna
from dna_pipelines.identity import Key
from dna_pipelines.interchange import read_vdna, write_vdna

LAYERS = Layers((Layer("first", 2), Layer("block/1.0", 3)))
N_BINS = 4


def key_of(layers=LAYERS, **changes):
    parts = {"extractor": "net", "weights": "w", "layers": layers.key(), "ranges": "r", "n_bins": N_BINS}
    return Key({**parts, **changes})


def dna_of(counts=None, layers=LAYERS, seed=0, **changes):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 9, (layers.n_neurons, N_BINS)) if counts is None else counts
    empty = Histogram.empty(layers.n_neurons, counts.shape[1])
    histogram = Histogram(**{**vars(empty), "counts": np.asarray(counts, np.uint64)})
    moments = Moments.of(random.normal(size=(5, layers.n_neurons)), layers, (layers.names[-1],))
    return Dna(f"dna-{seed}", key_of(layers, **changes), layers, histogram, moments, f"set-{seed}")


def written(path, dna, kind="histogram", n_images=5):
    write_vdna(path, dna, kind, n_images)
    return read_vdna(path)


def of_the_reference(path, dna, kind="histogram", **facts):
    """A file as the reference would have written it: without our entry."""
    write_vdna(path, dna, kind, 5, force=True)
    found = json.loads(path.read_text())
    found.pop("dna_pipelines")
    path.write_text(json.dumps({**found, **facts}))
    return read_vdna(path)


def rewrite_arrays(path, **changes):
    with np.load(path) as old:
        kept = {name: old[name] for name in old.files}
    kept |= changes
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})
