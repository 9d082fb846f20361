"""VDNA files, as the reference implementation (`vdna` 0.1.1) writes and reads them: two of one name.

NAME.json says what it is; NAME.npz holds, for each layer of n neurons:

    histogram        LAYER         (n, n_bins) int32: counts
    gaussian         mu-LAYER      (n,) float32: means over images of position-averaged activations
                     var-LAYER     (n,) float32: unbiased variances
    layer-gaussian   mu-LAYER      (n,) float64
                     sigma-LAYER   (n, n) float64: unbiased covariances

In files of the last two types the reference also has, by mistake, a pickled empty dictionary for each layer, under
the name of the layer. dna_pipelines never reads it and writes none.

Files of the reference do not state the activation ranges of their histograms. dna_pipelines adds one entry,
`dna_pipelines`, with the whole comparability key; the reference ignores it. Counts of 2^31 and more are written as
int64, which the reference reads (and cannot write).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dna_pipelines
from dna_pipelines.distributions import Covariance, Layer, Layers, Moments
from dna_pipelines.dna import Dna, ImportedDna
from dna_pipelines.errors import InterchangeError, NothingToCompare
from dna_pipelines.interchange.arrays import Arrays
from dna_pipelines.interchange.files import require_room, write_json, write_npz
from dna_pipelines.interchange.ranges_file import HIST_RANGE, SCALE
from dna_pipelines.interchange.vdna_facts import GAUSSIAN, Type, VdnaFacts, layers_of, read_facts

_VERSION = "0.1.1"
_SETTINGS: dict[Type, dict[str, Any]] = {
    "histogram": {
        "accumulate_spatial_feats_in_hist": True,
        "accumulate_sample_feats_in_hist": True,
        "normalise_feats": True,
        "range_scale_for_norm_params": SCALE,
        "hist_range": HIST_RANGE,
    },
    "gaussian": {"average_feats_spatially": True},
    "layer-gaussian": {"average_feats_spatially": True},
}
"""The extraction settings that the reference writes for each type."""


def is_vdna_path(reference: str) -> bool:
    """Whether a reference to a dataset is the path of a VDNA file instead."""
    return reference.endswith(".json")


def read_vdna(path: Path) -> ImportedDna:
    """The DNA in a pair of files.

    Raises:
        InterchangeError: when a file is missing, damaged or not one of a DNA.
    """
    facts = read_facts(path)
    key = facts.key()
    layers = layers_of(path, key, facts)
    arrays = Arrays(path.with_suffix(".npz"), facts.arrays(), unread=list(facts.neurons_list))
    counts = _counts(arrays, layers, facts) if facts.type == "histogram" else None
    moments = _moments(arrays, layers, facts) if facts.type != "histogram" else None
    return ImportedDna(key, layers, facts.num_images, counts, moments, str(path))


def write_vdna(path: Path, dna: Dna, kind: Type, n_images: int, *, force: bool = False) -> list[str]:
    """Write a DNA as the pair of files that the reference reads.

    Args:
        path: NAME.json; the arrays go to NAME.npz beside it.
        dna: what to write.
        kind: one of `TYPES`. A layer-gaussian has the layers that keep a covariance.
        n_images: images of the DNA.
        force: overwrite existing files.

    Returns:
        The layers that were written.

    Raises:
        InterchangeError: when a file exists, the name does not end in .json, or a count is too large.
        NothingToCompare: when there are too few images for a variance, or only virtual neurons.
    """
    if path.suffix != ".json":
        raise InterchangeError(
            f"{path} does not end in .json; name a .json file, and the arrays are written to an .npz file beside it",
            code="file.suffix",
            path=str(path),
        )
    require_room(path, path.with_suffix(".npz"), force=force)
    if kind != "histogram" and n_images < 2:
        raise NothingToCompare(
            f"{dna.label} has one image, and a variance needs two; export --type histogram",
            code="compare.one-image",
            dna=dna.label,
        )
    layers, arrays = _arrays_of(dna, kind)
    n_bins = dna.counts.shape[1]
    distribution = {"hist_nb_bins": n_bins} if kind == "histogram" else {}
    facts = {
        "vdna_version": _VERSION,
        "distribution": distribution,
        "type": kind,
        "name": f"histogram-{n_bins}" if kind == "histogram" else kind,
        "data_settings": {"source": dna.label},
        "extraction_settings": {**_SETTINGS[kind], **distribution},
        "num_images": n_images,
        "feature_extractor_name": dna.key.parts["extractor"],
        "neurons_list": {layer.name: layer.n_neurons for layer in layers},
        "dna_pipelines": {
            "writer": dna_pipelines.__version__,
            "dna_id": dna.id,
            "comparability_key": dict(dna.key.parts),
        },
    }
    # The arrays first: a .json file without them would look complete.
    write_npz(path.with_suffix(".npz"), arrays)
    write_json(path, facts)
    return [layer.name for layer in layers]


def _arrays_of(dna: Dna, kind: Type) -> tuple[list[Layer], dict[str, NDArray[Any]]]:
    """The arrays of the NPZ file; without those of virtual neurons, which the reference does not have."""
    layers = [layer for layer in dna.layers if layer.kind == "neuron"]
    if not layers:
        raise NothingToCompare(
            f"{dna.label} is of a view: it has only virtual neurons, which the reference does not have; export the "
            "DNA of the network itself",
            code="compare.virtual-neurons",
            dna=dna.label,
        )
    parts, moments = dna.layers.slices, dna.moments
    if kind == "histogram":
        highest = max((int(dna.counts[parts[layer.name]].max(initial=0)) for layer in layers), default=0)
        if highest >= 2**63:
            raise InterchangeError(
                f"{dna.label} has counts of more than 63 bits, which the reference cannot read",
                code="file.too-large-counts",
                dna=dna.label,
            )
        width = np.int32 if highest < 2**31 else np.int64
        return layers, {layer.name: dna.counts[parts[layer.name]].astype(width) for layer in layers}
    arrays: dict[str, NDArray[Any]] = {}
    if kind == "gaussian":
        for layer in layers:
            part = parts[layer.name]
            arrays[f"mu-{layer.name}"] = moments.mean[part].astype(np.float32)
            arrays[f"var-{layer.name}"] = moments.variance[part].astype(np.float32)
        return layers, arrays
    layers = [layer for layer in layers if layer.name in moments.covariances]
    if not layers:
        raise NothingToCompare(
            f"no layer of {dna.label} has a covariance; export --type gaussian or histogram",
            code="compare.no-covariance",
            dna=dna.label,
        )
    for layer in layers:
        arrays[f"mu-{layer.name}"] = moments.covariances[layer.name].mean
        arrays[f"sigma-{layer.name}"] = moments.covariances[layer.name].covariance
    return layers, arrays


def _counts(arrays: Arrays, layers: Layers, facts: VdnaFacts) -> NDArray[np.uint64]:
    n_bins = facts.distribution.hist_nb_bins
    of_layers = {layer.name: arrays.take(layer.name, (layer.n_neurons, n_bins), "iu") for layer in facts.layers()}
    counts = np.zeros((layers.n_neurons, n_bins), np.uint64)
    for name, values in of_layers.items():
        if (values < 0).any():
            raise arrays.refusal(name, "negative", "has negative counts: they did not fit into the 32 bits of the file")
        counts[layers.slice_of(name)] = values
    return counts


def _moments(arrays: Arrays, layers: Layers, facts: VdnaFacts) -> Moments:
    """Moments from means and variances; values that are not finite in the file are undefined."""
    n, (first, second), axes = facts.num_images, GAUSSIAN[facts.type], 1 if facts.type == "gaussian" else 2
    of_layers = {
        layer.name: (
            arrays.take(f"{first}-{layer.name}", (layer.n_neurons,), "f").astype(np.float64),
            arrays.take(f"{second}-{layer.name}", (layer.n_neurons,) * axes, "f").astype(np.float64),
        )
        for layer in facts.layers()
    }
    moments = Moments.empty(layers.n_neurons)
    covariances: dict[str, Covariance] = {}
    for name, (mean, spread) in of_layers.items():
        if spread.ndim == 2:
            if not np.allclose(spread, spread.T, rtol=1e-6, atol=1e-12, equal_nan=True):
                raise arrays.refusal(f"{second}-{name}", "asymmetric", "is not symmetric, so it is not a covariance")
            covariances[name] = _covariance(n, mean, spread)
        variance = np.diag(spread) if spread.ndim == 2 else spread
        if (variance < 0).any():
            raise arrays.refusal(f"{second}-{name}", "negative", "has negative variances")
        part = layers.slice_of(name)
        moments.n_images[part], moments.mean[part], moments.m2[part] = n, mean, variance * (n - 1)
    return Moments(moments.n_images, moments.mean, moments.m2, covariances)


def _covariance(n_images: int, mean: NDArray[np.float64], sigma: NDArray[np.float64]) -> Covariance:
    if not (np.isfinite(mean).all() and np.isfinite(sigma).all()):
        return Covariance(0, np.zeros_like(mean), np.zeros_like(sigma))
    return Covariance(n_images, mean, sigma * (n_images - 1))
