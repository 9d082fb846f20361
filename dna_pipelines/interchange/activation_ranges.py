"""Activation ranges as the reference publishes them: `activation_ranges.json`.

    {"mins_per_neuron": {layer: {"0": minimum, "1": …}}, "maxs_per_neuron": {layer: {…}}}

The reference bins from m - h to m + h, where m and h are the middle and half the width of
[1.2 minimum, 1.2 maximum], and h has 1e-8 added. It scales the signed bounds, which raises a positive
minimum and lowers a negative maximum; ranges that come from such a file keep that rule.

dna_pipelines adds one entry, `dna_pipelines`, with the exact edges and the other results of the calibration.
The reference ignores it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dna_pipelines
from dna_pipelines.distributions import Binning, Layer, Layers
from dna_pipelines.dna import ActivationRanges, layer_differences
from dna_pipelines.errors import InterchangeError
from dna_pipelines.interchange.arrays import Arrays
from dna_pipelines.interchange.files import read_json, write_json
from dna_pipelines.interchange.ranges_file import F64, MARGIN, SCALE, RangesFile, reference_binning

_OWN = "dna_pipelines"

_MOST_NAMED = 5
"""Neurons that an error names; it has the number of all."""


def read_ranges(path: Path) -> RangesFile:
    """The ranges in a file: an `activation_ranges.json`, or a VDNA of the type `activation-ranges`.

    Raises:
        InterchangeError: when the file is missing, or is not a file of activation ranges.
    """
    facts, data = read_json(path)
    name = f"{path.name} (sha256 {hashlib.sha256(data).hexdigest()[:12]})"
    if facts.get("type") == "activation-ranges":
        low, high = _bounds_of_vdna(path, facts)
    elif "mins_per_neuron" in facts and "maxs_per_neuron" in facts:
        low, high = (_bounds_of_json(path, facts, key) for key in ("mins_per_neuron", "maxs_per_neuron"))
    else:
        raise InterchangeError(
            f"{path} has no activation ranges: its entries mins_per_neuron and maxs_per_neuron are missing",
            code="file.no-ranges",
            path=str(path),
        )
    layers = Layers(tuple(Layer(layer, len(values)) for layer, values in low.items()))
    others = Layers(tuple(Layer(layer, len(values)) for layer, values in high.items()))
    if differences := layer_differences(layers, others, "the minima", "the maxima"):
        raise InterchangeError(
            f"{path} contradicts itself:\n  " + "\n  ".join(differences),
            code="file.inconsistent",
            path=str(path),
            differences=differences,
        )
    if not layers.n_neurons:
        raise InterchangeError(f"{path} has no neurons", code="file.no-neurons", path=str(path))
    minimum, maximum = (np.concatenate(list(bounds.values())) for bounds in (low, high))
    _require_bounds(path, layers, minimum, maximum)
    own = _own_ranges(path, name, facts[_OWN], layers, minimum, maximum) if _OWN in facts else None
    return RangesFile(name, layers, minimum, maximum, own)


def write_ranges(path: Path, ranges: ActivationRanges, extractor: str) -> None:
    """Write ranges so that the reference derives the same edges, up to the rounding of float64."""
    binning = ranges.binning
    middle = (binning.lo + binning.hi) / 2
    # The reference adds the margin again; it has no counterpart of a range that is narrower than that.
    half = np.maximum((binning.hi - binning.lo) / 2 - MARGIN, 0.0)
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
    """Bounds by layer. The reference takes neurons by their position in the file, which must be their number."""
    bounds = {}
    if not isinstance(facts[key], dict):
        raise InterchangeError(
            f"{path}: {key} is not an object of layers", code="file.no-layers", path=str(path), entry=key
        )
    for layer, neurons in facts[key].items():
        if not isinstance(neurons, dict) or list(neurons) != [str(number) for number in range(len(neurons))]:
            raise InterchangeError(
                f"{path}: {key}, layer {layer}: expected the neurons 0, 1, 2, … in order",
                code="file.neuron-order",
                path=str(path),
                entry=key,
                layer=layer,
            )
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in neurons.values()):
            raise InterchangeError(
                f"{path}: {key}, layer {layer}: expected a number for every neuron",
                code="file.not-a-number",
                path=str(path),
                entry=key,
                layer=layer,
            )
        try:
            bounds[layer] = np.array(list(neurons.values()), np.float64)
        except OverflowError as error:
            raise InterchangeError(
                f"{path}: {key}, layer {layer}: a number is too large ({error})",
                code="file.not-a-number",
                path=str(path),
                entry=key,
                layer=layer,
            ) from error
    return bounds


def _bounds_of_vdna(path: Path, facts: Mapping[str, Any]) -> tuple[dict[str, F64], dict[str, F64]]:
    layers = facts.get("neurons_list")
    if not isinstance(layers, dict):
        raise InterchangeError(
            f"{path}: neurons_list is not an object of layers",
            code="file.no-layers",
            path=str(path),
            entry="neurons_list",
        )
    wanted = [f"{what}-{layer}" for layer in layers for what in ("min", "max")]
    arrays = Arrays(path.with_suffix(".npz"), wanted, unread=list(layers))
    low, high = (
        {layer: arrays.take(f"{what}-{layer}", (n,), "f").astype(np.float64) for layer, n in layers.items()}
        for what in ("min", "max")
    )
    return low, high


def _require_bounds(path: Path, layers: Layers, minimum: F64, maximum: F64) -> None:
    """Every neuron needs two finite bounds of float32, the minimum first."""
    with np.errstate(over="ignore"):
        infinite = ~(np.isfinite(minimum.astype(np.float32)) & np.isfinite(maximum.astype(np.float32)))
    reversed_ = minimum > maximum
    # Beyond 1e8 rounding removes the margin.
    empty = (minimum == maximum) & (np.abs(minimum) * SCALE + MARGIN == np.abs(minimum) * SCALE)
    for wrong, problem, message in (
        (infinite, "not-finite", "a bound is not finite"),
        (reversed_, "reversed", "the minimum is above the maximum"),
        (empty, "no-width", "the bounds are equal and too large for a range of any width"),
    ):
        if wrong.any():
            n_wrong, named = int(np.count_nonzero(wrong)), _named(layers, np.flatnonzero(wrong)[:_MOST_NAMED])
            more = f" and {n_wrong - len(named):,} more" if n_wrong > len(named) else ""
            raise InterchangeError(
                f"{path}: {message}, of the neurons {', '.join(named)}{more}",
                code="file.bounds",
                path=str(path),
                problem=problem,
                neurons=named,
                n_neurons=n_wrong,
            )


def _named(layers: Layers, neurons: Iterable[Any]) -> list[str]:
    """Neurons as LAYER:NUMBER."""
    names, starts = layers.labels(), {name: part.start for name, part in layers.slices.items()}
    return [f"{names[neuron]}:{neuron - starts[names[neuron]]}" for neuron in neurons]


def _own_ranges(path: Path, name: str, own: Any, layers: Layers, minimum: F64, maximum: F64) -> ActivationRanges:
    """The entry of dna_pipelines; it must agree with the edges that the reference derives from the file."""
    try:
        binning = Binning(np.array(own["lo"], np.float64), np.array(own["hi"], np.float64), int(own["n_bins"]))
        own_layers = Layers.from_key(own["layers"])
        observed = [_or_infinite(own["minimum"], np.inf), _or_infinite(own["maximum"], -np.inf)]
        centre = np.array(own["centre"], np.float64)
        lengths = {len(binning.lo), len(minimum), len(centre), *map(len, observed)}
        if len(lengths) > 1 or layer_differences(layers, own_layers, "", ""):
            raise ValueError("its entries are of different lengths")
        origin = str(own["origin"]) or name
        ranges = ActivationRanges(
            own_layers, binning, observed[0], observed[1], centre, int(own["n_images"]), tuple(own["datasets"]), origin
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InterchangeError(
            f"{path}: the entry {_OWN} is damaged ({error}); remove it to use the rest",
            code="file.own-entry",
            path=str(path),
            entry=_OWN,
        ) from error
    theirs = reference_binning(minimum, maximum, binning.n_bins)
    for ours, reference in ((binning.lo, theirs.lo), (binning.hi, theirs.hi)):
        if not np.allclose(ours, reference, rtol=1e-9, atol=2 * MARGIN):
            raise InterchangeError(
                f"{path}: mins_per_neuron and maxs_per_neuron do not give the edges in the entry {_OWN}, because the "
                "file was edited; remove that entry to use the edited bounds",
                code="file.edges-differ",
                path=str(path),
                entry=_OWN,
            )
    return ranges


def _or_null(values: NDArray[np.float32]) -> list[float | None]:
    """JSON has no infinities: a neuron without finite values has null."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _or_infinite(values: list[float | None], infinite: float) -> NDArray[np.float32]:
    return np.array([infinite if value is None else value for value in values], np.float32)
