"""VDNA files, as the reference implementation (`vdna` 0.1.1) writes and reads them: two of one name.

NAME.json says what it is; NAME.npz holds, for each layer of n neurons:

    histogram        LAYER         (n, n_bins) int32: counts
    gaussian         mu-LAYER      (n,) float32: means over images of position-averaged activations
                     var-LAYER     (n,) float32: unbiased variances
    layer-gaussian   mu-LAYER      (n,) float64
                     sigma-LAYER   (n, n) float64: unbiased covariances

In the files of the last two types the reference leaves a pickled empty dictionary for each layer, by its
mistake, under the name of the layer; it is never looked into, and we write none.

Files of the reference do not say which activation ranges they were binned with. What we write has one
more entry, `dna_pipelines`, with the whole comparability key; the reference does not look at it. Counts
of 2^31 and more are written as int64, which the reference reads as well (and could not have written).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import dna_pipelines
from dna_pipelines.distributions import Covariance, Layer, Layers, Moments
from dna_pipelines.dna import Dna, ImportedDna, layer_differences
from dna_pipelines.errors import InterchangeError, NothingToCompare
from dna_pipelines.identity import Key
from dna_pipelines.interchange.activation_ranges import HIST_RANGE, SCALE
from dna_pipelines.interchange.files import read_json, read_npz, require_room, write_json, write_npz

Type = Literal["histogram", "gaussian", "layer-gaussian"]
TYPES: tuple[Type, ...] = ("histogram", "gaussian", "layer-gaussian")

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
"""What the reference notes of how such a distribution was made."""

_GAUSSIAN: dict[Type, tuple[str, str]] = {"gaussian": ("mu", "var"), "layer-gaussian": ("mu", "sigma")}
"""What the names of the arrays begin with."""


class _Own(BaseModel):
    """What we write besides."""

    comparability_key: dict[str, Any]


class _Distribution(BaseModel):
    hist_nb_bins: int = 0


class _Extraction(BaseModel):
    range_scale_for_norm_params: float = SCALE
    hist_range: list[float] = HIST_RANGE


class _Facts(BaseModel):
    """The JSON file, as far as it matters here."""

    model_config = ConfigDict(extra="ignore")

    type: Type
    feature_extractor_name: str
    neurons_list: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    num_images: int = Field(ge=1)
    distribution: _Distribution = _Distribution()
    extraction_settings: _Extraction = _Extraction()
    dna_pipelines: _Own | None = None

    def layers(self) -> Layers:
        """The layers that the file has."""
        return Layers(tuple(Layer(name, n_neurons) for name, n_neurons in self.neurons_list.items()))

    def key(self) -> Key:
        """What the file tells of how it was measured."""
        if self.dna_pipelines:
            return Key(self.dna_pipelines.comparability_key)
        parts: dict[str, Any] = {"extractor": self.feature_extractor_name, "layers": self.layers().key()}
        if self.type == "histogram":
            settings = self.extraction_settings
            parts["n_bins"] = self.distribution.hist_nb_bins
            parts |= {"range_scale": settings.range_scale_for_norm_params, "hist_range": settings.hist_range}
        return Key(parts)


def is_vdna_path(reference: str) -> bool:
    """Whether a reference to a dataset is the path of a VDNA file instead."""
    return reference.endswith(".json")


def read_vdna(path: Path) -> ImportedDna:
    """The DNA in a pair of files.

    Raises:
        InterchangeError: when there are no such files, or they are not what they should be.
    """
    found, _ = read_json(path)
    if found.get("type") == "activation-ranges":
        raise InterchangeError(f"{path} holds activation ranges, not a DNA; `dna ranges import` takes them")
    try:
        facts = _Facts.model_validate(found)
        if facts.type == "histogram" and facts.distribution.hist_nb_bins < 1:
            raise InterchangeError(f"{path} is no VDNA file: distribution.hist_nb_bins: expected at least one bin")
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise InterchangeError(f"{path} is no VDNA file:\n  " + "\n  ".join(problems)) from error
    key = facts.key()
    layers = _layers_of(path, key, facts)
    arrays = _Arrays(path.with_suffix(".npz"), facts)
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
        force: write over files that are there.

    Returns:
        The layers that were written.

    Raises:
        InterchangeError: when files are there already, the name is not one of a VDNA file, or a count is too large.
        NothingToCompare: when there are too few images for a variance, or virtual neurons alone.
    """
    if path.suffix != ".json":
        raise InterchangeError(f"{path}: name a file that ends in .json; the arrays go beside it, into an .npz")
    require_room(path, path.with_suffix(".npz"), force=force)
    if kind != "histogram" and n_images < 2:
        raise NothingToCompare(f"{dna.label} has one image, and a variance takes two; --type histogram can be written")
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
    # The arrays first: a .json without them would look like a whole file.
    write_npz(path.with_suffix(".npz"), arrays)
    write_json(path, facts)
    return [layer.name for layer in layers]


def _arrays_of(dna: Dna, kind: Type) -> tuple[list[Layer], dict[str, NDArray[Any]]]:
    """What goes into the NPZ file; virtual neurons do not, because the reference has none."""
    layers = [layer for layer in dna.layers if layer.kind == "neuron"]
    if not layers:
        raise NothingToCompare(f"{dna.label} only has virtual neurons (it is of a view), and the reference has none")
    parts, moments = dna.layers.slices, dna.moments
    if kind == "histogram":
        highest = max((int(dna.counts[parts[layer.name]].max(initial=0)) for layer in layers), default=0)
        if highest >= 2**63:
            raise InterchangeError(f"{dna.label} has counts of more than 63 bits, which the reference cannot read")
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
        raise NothingToCompare(f"{dna.label} keeps no covariance; --type gaussian or histogram can be written")
    for layer in layers:
        arrays[f"mu-{layer.name}"] = moments.covariances[layer.name].mean
        arrays[f"sigma-{layer.name}"] = moments.covariances[layer.name].covariance
    return layers, arrays


def _layers_of(path: Path, key: Key, facts: _Facts) -> Layers:
    """All layers of the extractor: of those we wrote the file may hold some only."""
    try:
        layers, extractor = Layers.from_key(key.parts["layers"]), key.parts["extractor"]
        n_bins = key.parts["n_bins"] if facts.type == "histogram" else 0
    except (KeyError, TypeError, ValueError) as error:
        raise InterchangeError(f"{path}: the entry dna_pipelines is damaged; remove it to use the rest") from error
    listed = facts.layers()
    known = Layers(tuple(layer for layer in layers if layer.name in listed.slices))
    differences = layer_differences(listed, known, "neurons_list", "the entry dna_pipelines")
    for what, left, right in (
        ("feature_extractor_name", facts.feature_extractor_name, extractor),
        ("hist_nb_bins", facts.distribution.hist_nb_bins, n_bins),
    ):
        if left != right:
            differences.append(f"{what}: {left!r} against {right!r} in the entry dna_pipelines")
    if differences:
        raise InterchangeError(f"{path} is not consistent:\n  " + "\n  ".join(differences))
    return layers


class _Arrays:
    """The arrays of the NPZ file of some facts: all of them, and no others."""

    def __init__(self, path: Path, facts: _Facts) -> None:
        layers = list(facts.neurons_list)
        wanted = layers
        if facts.type != "histogram":
            wanted = [f"{what}-{layer}" for layer in layers for what in _GAUSSIAN[facts.type]]
        self._path = path
        self._arrays = read_npz(path, wanted, unread=layers)

    def take(self, name: str, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
        """An array that should have a shape, and be of one of some kinds of numbers."""
        array = self._arrays[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            raise InterchangeError(
                f"{self._path}: {name} is {array.dtype} of shape {array.shape}, but should be "
                f"{'whole' if 'i' in kinds else 'floating-point'} numbers of shape {shape}"
            )
        return array

    def refusal(self, name: str, why: str) -> InterchangeError:
        """What to raise for an array whose values cannot be."""
        return InterchangeError(f"{self._path}: {name} {why}")


def _counts(arrays: _Arrays, layers: Layers, facts: _Facts) -> NDArray[np.uint64]:
    n_bins = facts.distribution.hist_nb_bins
    found = {layer.name: arrays.take(layer.name, (layer.n_neurons, n_bins), "iu") for layer in facts.layers()}
    counts = np.zeros((layers.n_neurons, n_bins), np.uint64)
    for name, values in found.items():
        if (values < 0).any():
            raise arrays.refusal(name, "has negative counts: more than 32 bits were needed when it was written")
        counts[layers.slice_of(name)] = values
    return counts


def _moments(arrays: _Arrays, layers: Layers, facts: _Facts) -> Moments:
    """Moments from means and variances; what was not finite in the file stays undefined."""
    n, (first, second), axes = facts.num_images, _GAUSSIAN[facts.type], 1 if facts.type == "gaussian" else 2
    found = {
        layer.name: (
            arrays.take(f"{first}-{layer.name}", (layer.n_neurons,), "f").astype(np.float64),
            arrays.take(f"{second}-{layer.name}", (layer.n_neurons,) * axes, "f").astype(np.float64),
        )
        for layer in facts.layers()
    }
    moments = Moments.empty(layers.n_neurons)
    covariances: dict[str, Covariance] = {}
    for name, (mean, spread) in found.items():
        if spread.ndim == 2:
            if not np.allclose(spread, spread.T, rtol=1e-6, atol=1e-12, equal_nan=True):
                raise arrays.refusal(f"{second}-{name}", "is not symmetric, so it is no covariance")
            covariances[name] = _covariance(n, mean, spread)
        variance = np.diag(spread) if spread.ndim == 2 else spread
        if (variance < 0).any():
            raise arrays.refusal(f"{second}-{name}", "has negative variances")
        part = layers.slice_of(name)
        moments.n_images[part], moments.mean[part], moments.m2[part] = n, mean, variance * (n - 1)
    return Moments(moments.n_images, moments.mean, moments.m2, covariances)


def _covariance(n_images: int, mean: NDArray[np.float64], sigma: NDArray[np.float64]) -> Covariance:
    if not (np.isfinite(mean).all() and np.isfinite(sigma).all()):
        return Covariance(0, np.zeros_like(mean), np.zeros_like(sigma))
    return Covariance(n_images, mean, sigma * (n_images - 1))
