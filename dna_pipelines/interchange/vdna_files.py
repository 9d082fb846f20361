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
"""The extraction settings that the reference writes for each type."""

_GAUSSIAN: dict[Type, tuple[str, str]] = {"gaussian": ("mu", "var"), "layer-gaussian": ("mu", "sigma")}
"""The first part of the names of the arrays."""


class _Own(BaseModel):
    """The entry of dna_pipelines."""

    comparability_key: dict[str, Any]


class _Distribution(BaseModel):
    hist_nb_bins: int = 0


class _Extraction(BaseModel):
    range_scale_for_norm_params: float = SCALE
    hist_range: list[float] = HIST_RANGE


class _Facts(BaseModel):
    """The entries of the JSON file that are used."""

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
        """How the DNA was measured, as far as the file states it."""
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
        InterchangeError: when a file is missing, damaged or not one of a DNA.
    """
    found, _ = read_json(path)
    if found.get("type") == "activation-ranges":
        raise InterchangeError(
            f"{path} has activation ranges, not a DNA; import it with `dna ranges import`",
            code="file.ranges-not-dna",
            path=str(path),
        )
    try:
        facts = _Facts.model_validate(found)
        if facts.type == "histogram" and facts.distribution.hist_nb_bins < 1:
            raise InterchangeError(
                f"{path} is not a VDNA file: distribution.hist_nb_bins must be at least 1",
                code="file.no-vdna",
                path=str(path),
                keys=["distribution.hist_nb_bins"],
            )
    except ValidationError as error:
        problems = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
        raise InterchangeError(
            f"{path} is not a VDNA file:\n  " + "\n  ".join(f"{key}: {message}" for key, message in problems),
            code="file.no-vdna",
            path=str(path),
            keys=[key for key, _ in problems],
        ) from error
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


def _layers_of(path: Path, key: Key, facts: _Facts) -> Layers:
    """All layers of the extractor; a file that dna_pipelines wrote may have only some of them."""
    try:
        layers, extractor = Layers.from_key(key.parts["layers"]), key.parts["extractor"]
        n_bins = key.parts["n_bins"] if facts.type == "histogram" else 0
    except (KeyError, TypeError, ValueError) as error:
        raise InterchangeError(
            f"{path}: the entry dna_pipelines is damaged; remove it to use the rest",
            code="file.own-entry",
            path=str(path),
            entry="dna_pipelines",
        ) from error
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
        raise InterchangeError(
            f"{path} contradicts itself:\n  " + "\n  ".join(differences),
            code="file.inconsistent",
            path=str(path),
            differences=differences,
        )
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
        """An array, which must have a shape and one of some kinds of numbers (numpy's `dtype.kind`)."""
        array = self._arrays[name]
        if array.shape != shape or array.dtype.kind not in kinds:
            expected = "integer" if "i" in kinds else "floating-point"
            raise InterchangeError(
                f"{self._path}: {name} is {array.dtype} of shape {array.shape}, and must be {expected} numbers of "
                f"shape {shape}; export the file again",
                code="file.array",
                path=str(self._path),
                array=name,
                problem="type",
                dtype=str(array.dtype),
                expected=expected,
                shape=list(array.shape),
                expected_shape=list(shape),
            )
        return array

    def refusal(self, name: str, problem: str, message: str) -> InterchangeError:
        """The error for an array with impossible values."""
        return InterchangeError(
            f"{self._path}: {name} {message}", code="file.array", path=str(self._path), array=name, problem=problem
        )


def _counts(arrays: _Arrays, layers: Layers, facts: _Facts) -> NDArray[np.uint64]:
    n_bins = facts.distribution.hist_nb_bins
    found = {layer.name: arrays.take(layer.name, (layer.n_neurons, n_bins), "iu") for layer in facts.layers()}
    counts = np.zeros((layers.n_neurons, n_bins), np.uint64)
    for name, values in found.items():
        if (values < 0).any():
            raise arrays.refusal(name, "negative", "has negative counts: they did not fit into the 32 bits of the file")
        counts[layers.slice_of(name)] = values
    return counts


def _moments(arrays: _Arrays, layers: Layers, facts: _Facts) -> Moments:
    """Moments from means and variances; values that are not finite in the file are undefined."""
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
