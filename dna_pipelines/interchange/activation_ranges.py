"""Activation ranges as the reference publishes them: `activation_ranges.json`.

    {"mins_per_neuron": {layer: {"0": minimum, "1": …}}, "maxs_per_neuron": {layer: {…}}}

The reference bins from m - h to m + h, where m and h are the middle and half the width of
[1.2 minimum, 1.2 maximum], and h has 1e-8 added. It scales the signed bounds, which raises a positive
minimum and lowers a negative maximum; ranges that come from such a file keep that rule.

What we write has one more entry, `dna_pipelines`, with the exact edges and what else calibration saw.
The reference does not look at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dna_pipelines
from dna_pipelines.distributions import Binning, Layer, Layers
from dna_pipelines.distributions.binning import N_BINS
from dna_pipelines.dna import ActivationRanges, ImportedDna, layer_differences
from dna_pipelines.errors import Incomparable, InterchangeError
from dna_pipelines.identity import Key
from dna_pipelines.interchange.files import read_json, read_npz, write_json

F64 = NDArray[np.float64]

SCALE = 1.2
"""What the reference multiplies both bounds by."""

HIST_RANGE = [-1.0, 1.0]
"""What the reference bins over, where -1 and 1 are the scaled bounds."""

_MARGIN = 1e-8
"""What the reference adds to half the width, so that it never divides by zero."""

_OWN = "dna_pipelines"


@dataclass(frozen=True, eq=False)
class RangesFile:
    """What a file says.

    Attributes:
        name: of the file, with the beginning of its digest.
        layers: in the order of the file.
        minimum, maximum: (n_neurons,) float64, finite, minimum <= maximum.
        own: the ranges, with their exact edges, where dna_pipelines wrote the file.
    """

    name: str
    layers: Layers
    minimum: F64
    maximum: F64
    own: ActivationRanges | None

    def ranges(self, layers: Layers, wanted_by: str, n_bins: int = N_BINS, scale: float = SCALE) -> ActivationRanges:
        """The activation ranges for some layers, which have to be those of the file.

        Args:
            layers: what the ranges are for.
            wanted_by: whose layers they are, for messages.
            n_bins: of the histograms.
            scale: what the bounds are multiplied by.

        Raises:
            Incomparable: listing every difference of the layers.
        """
        differences = layer_differences(self.layers, layers, "the file", wanted_by)
        if differences:
            raise Incomparable(f"{self.name} is not for {wanted_by}:\n  " + "\n  ".join(differences))
        if self.own and (n_bins, scale) == (self.own.binning.n_bins, SCALE):
            return self.own
        binning = reference_binning(self.minimum, self.maximum, n_bins, scale)
        low, high = self.minimum.astype(np.float32), self.maximum.astype(np.float32)
        return ActivationRanges(layers, binning, low, high, (binning.lo + binning.hi) / 2, 0, (), self.name)


def reference_binning(minimum: F64, maximum: F64, n_bins: int = N_BINS, scale: float = SCALE) -> Binning:
    """The edges that the reference makes of observed extremes.

    A neuron whose extremes are equal gets a range 2e-8 wide, in which all but one value is clipped.
    """
    low, high = minimum * scale, maximum * scale
    middle, half = (low + high) / 2, (high - low) / 2 + _MARGIN
    return Binning(middle - half, middle + half, n_bins)


def read_ranges(path: Path) -> RangesFile:
    """The ranges in a file: an `activation_ranges.json`, or a VDNA of the type `activation-ranges`.

    Raises:
        InterchangeError: when there is no such file, or it is not what it should be.
    """
    facts, data = read_json(path)
    name = f"{path.name} (sha256 {hashlib.sha256(data).hexdigest()[:12]})"
    if facts.get("type") == "activation-ranges":
        low, high = _bounds_of_vdna(path, facts)
    elif "mins_per_neuron" in facts and "maxs_per_neuron" in facts:
        low, high = (_bounds_of_json(path, facts, key) for key in ("mins_per_neuron", "maxs_per_neuron"))
    else:
        raise InterchangeError(f"{path} holds no activation ranges: it has no mins_per_neuron and maxs_per_neuron")
    layers = Layers(tuple(Layer(layer, len(values)) for layer, values in low.items()))
    others = Layers(tuple(Layer(layer, len(values)) for layer, values in high.items()))
    if differences := layer_differences(layers, others, "the minima", "the maxima"):
        raise InterchangeError(f"{path} is not consistent:\n  " + "\n  ".join(differences))
    if not layers.n_neurons:
        raise InterchangeError(f"{path} holds no neurons")
    minimum, maximum = (np.concatenate(list(found.values())) for found in (low, high))
    _require_bounds(path, layers, minimum, maximum)
    own = _own_ranges(path, name, facts[_OWN], layers, minimum, maximum) if _OWN in facts else None
    return RangesFile(name, layers, minimum, maximum, own)


def with_ranges(dna: ImportedDna, file: RangesFile) -> ImportedDna:
    """A DNA with the activation ranges that somebody says its histograms were binned with.

    Nothing changes for a DNA that has no histograms, or says itself what they were binned with.

    Raises:
        Incomparable: when the ranges are not for its layers.
    """
    if dna.counts is None or "ranges" in dna.key.parts:
        return dna
    if dna.key.parts["hist_range"] != HIST_RANGE:
        raise Incomparable(
            f"{dna.label} was binned over {dna.key.parts['hist_range']} of its activation ranges, not over [-1, 1]"
        )
    ranges = file.ranges(dna.layers, dna.label, dna.counts.shape[1], dna.key.parts["range_scale"])
    return replace(dna, key=Key({**dna.key.parts, "ranges": ranges.id}))


def write_ranges(path: Path, ranges: ActivationRanges, extractor: str) -> None:
    """Write ranges so that the reference makes our edges of them, up to the rounding of float64."""
    binning = ranges.binning
    middle = (binning.lo + binning.hi) / 2
    # Less the margin that the reference adds; a range narrower than that has no counterpart there.
    half = np.maximum((binning.hi - binning.lo) / 2 - _MARGIN, 0.0)
    bounds = {"mins_per_neuron": (middle - half) / SCALE, "maxs_per_neuron": (middle + half) / SCALE}
    own = {
        "writer": dna_pipelines.__version__,
        "extractor": extractor,
        "n_bins": binning.n_bins,
        "n_images": ranges.n_images,
        "datasets": list(ranges.datasets),
        "origin": ranges.origin,
        "layers": ranges.layers.key(),
        "lo": binning.lo.tolist(),
        "hi": binning.hi.tolist(),
        "minimum": _or_null(ranges.minimum),
        "maximum": _or_null(ranges.maximum),
        "centre": ranges.centre.tolist(),
    }
    layers = {key: _by_layer(ranges.layers, values) for key, values in bounds.items()}
    write_json(path, {**layers, _OWN: own})


def _by_layer(layers: Layers, values: F64) -> dict[str, dict[str, float]]:
    return {
        name: {str(neuron): value for neuron, value in enumerate(values[part].tolist())}
        for name, part in layers.slices.items()
    }


def _bounds_of_json(path: Path, facts: Mapping[str, Any], key: str) -> dict[str, F64]:
    """Bounds by layer. The reference takes neurons by their place in the file, so that must be their number."""
    found = {}
    if not isinstance(facts[key], dict):
        raise InterchangeError(f"{path}: {key} is no object with layers")
    for layer, neurons in facts[key].items():
        if not isinstance(neurons, dict) or list(neurons) != [str(number) for number in range(len(neurons))]:
            raise InterchangeError(f"{path}: {key}, layer {layer}: expected the neurons 0, 1, 2, … in order")
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in neurons.values()):
            raise InterchangeError(f"{path}: {key}, layer {layer}: expected a number for every neuron")
        try:
            found[layer] = np.array(list(neurons.values()), np.float64)
        except OverflowError as error:
            raise InterchangeError(f"{path}: {key}, layer {layer}: a number is too large ({error})") from error
    return found


def _bounds_of_vdna(path: Path, facts: Mapping[str, Any]) -> tuple[dict[str, F64], dict[str, F64]]:
    layers = facts.get("neurons_list")
    if not isinstance(layers, dict):
        raise InterchangeError(f"{path}: neurons_list names no layers")
    wanted = [f"{what}-{layer}" for layer in layers for what in ("min", "max")]
    arrays = read_npz(path.with_suffix(".npz"), wanted, unread=list(layers))
    found: tuple[dict[str, F64], dict[str, F64]] = ({}, {})
    for layer, n_neurons in layers.items():
        for bounds, what in zip(found, ("min", "max"), strict=True):
            values = arrays[f"{what}-{layer}"]
            if values.shape != (n_neurons,) or values.dtype.kind != "f":
                raise InterchangeError(f"{path.with_suffix('.npz')}: expected {n_neurons} numbers in {what}-{layer}")
            bounds[layer] = values.astype(np.float64)
    return found


def _require_bounds(path: Path, layers: Layers, minimum: F64, maximum: F64) -> None:
    """Every neuron needs two finite bounds of float32, the minimum first."""
    with np.errstate(over="ignore"):
        infinite = ~(np.isfinite(minimum.astype(np.float32)) & np.isfinite(maximum.astype(np.float32)))
    reversed_ = minimum > maximum
    # Beyond 1e8 the margin is lost in rounding.
    empty = (minimum == maximum) & (np.abs(minimum) * SCALE + _MARGIN == np.abs(minimum) * SCALE)
    for wrong, what in (
        (infinite, "a bound that is not finite"),
        (reversed_, "a minimum above the maximum"),
        (empty, "equal bounds so large that no range is left"),
    ):
        if wrong.any():
            raise InterchangeError(f"{path}: {what}: {_named(layers, np.flatnonzero(wrong))}")


def _named(layers: Layers, neurons: Iterable[Any]) -> str:
    names, starts = layers.labels(), {name: part.start for name, part in layers.slices.items()}
    found = [f"{names[neuron]}:{neuron - starts[names[neuron]]}" for neuron in neurons]
    return ", ".join(found[:5]) + (f" and {len(found) - 5:,} more" if len(found) > 5 else "")


def _own_ranges(path: Path, name: str, own: Any, layers: Layers, minimum: F64, maximum: F64) -> ActivationRanges:
    """What we wrote besides; it must agree with what the reference makes of the file."""
    try:
        binning = Binning(np.array(own["lo"], np.float64), np.array(own["hi"], np.float64), int(own["n_bins"]))
        kept = Layers.from_key(own["layers"])
        observed = [_or_infinite(own["minimum"], np.inf), _or_infinite(own["maximum"], -np.inf)]
        centre = np.array(own["centre"], np.float64)
        lengths = {len(binning.lo), len(minimum), len(centre), *map(len, observed)}
        if len(lengths) > 1 or layer_differences(layers, kept, "", ""):
            raise ValueError("its entries are of different lengths")
        origin = str(own["origin"]) or name
        ranges = ActivationRanges(
            kept, binning, observed[0], observed[1], centre, int(own["n_images"]), tuple(own["datasets"]), origin
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InterchangeError(f"{path}: the entry {_OWN} is damaged ({error}); remove it to use the rest") from error
    theirs = reference_binning(minimum, maximum, binning.n_bins)
    for ours, reference in ((binning.lo, theirs.lo), (binning.hi, theirs.hi)):
        if not np.allclose(ours, reference, rtol=1e-9, atol=2 * _MARGIN):
            raise InterchangeError(
                f"{path}: mins_per_neuron and maxs_per_neuron were changed and no longer give the edges in the entry "
                f"{_OWN}; remove that entry to use them"
            )
    return ranges


def _or_null(values: NDArray[np.float32]) -> list[float | None]:
    """JSON has no infinities: a neuron that was never finite has none."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _or_infinite(values: list[float | None], infinite: float) -> NDArray[np.float32]:
    return np.array([infinite if value is None else value for value in values], np.float32)
