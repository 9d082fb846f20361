"""Probing a network when it is registered: which axis is the neuron, and is it safe to batch?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import nn

from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.numerics import EXACT, reproducible
from dna_pipelines.extraction.extractor import Extractor, Network, Positions
from dna_pipelines.extraction.probing.determinism import require_determinism
from dna_pipelines.extraction.probing.layer_choice import working
from dna_pipelines.extraction.probing.module_outputs import Seen, Survey, survey
from dna_pipelines.extraction.taps import Taps

Tokens = Literal["all", "cls", "patch"]


@dataclass(frozen=True)
class Probed:
    """What is known of the outputs of a network's tapped modules.

    Attributes:
        axes: layer by layer, which axis is the neuron.
        kept: layer by layer, which tokens count; None for all.
        positions: layer by layer, what is left of them.
    """

    layers: Layers
    axes: tuple[int, ...]
    kept: tuple[slice | None, ...]
    positions: tuple[Positions, ...]


def probe(
    network: Network,
    *,
    batch_size: int = 32,
    device: str = "cpu",
    precision: str = EXACT,
    tokens: Tokens = "all",
) -> Extractor:
    """An extractor from a network.

    Raises:
        ExtractorError: when an output has no clear neuron axis or is not finite, or when what one image gives
            is random, or depends on the other images of its batch or on other batches.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ExtractorError(f"{network.label}: device '{device}' was asked for, and torch sees no GPU; use 'cpu'")
    try:
        network.module.eval().requires_grad_(False).to(device)
    except torch.OutOfMemoryError as error:
        raise ExtractorError(f"{network.label}: {device} has too little memory for the network") from error
    probed = probe_layers(network, device=device, tokens=tokens)
    taps = Taps(network.module, network.taps, kept=probed.kept)
    shape = (probed.layers, probed.axes, probed.positions)
    extractor = Extractor(network, taps, *shape, batch_size, device, precision, tokens)
    with reproducible():
        require_determinism(extractor)
    return extractor


def probe_layers(network: Network, *, device: str = "cpu", tokens: Tokens = "all") -> Probed:
    """The layers of a network, from forward passes over two and three images and over a larger one.

    The batch is the axis that grows with the number of images, the neuron the one that stays when the
    image grows. Where that leaves a choice, as in networks of one fixed image size: the axis that is as
    long as the module is wide, then the last of three, then of four the one that is not as long as the
    other two.

    Raises:
        ExtractorError: when an output has no clear neuron axis; it names the modules that work.
    """
    module, size = network.module.eval(), network.preprocessing.size_px
    modules = [name for name, _ in module.named_modules()]
    if twice := [name for name, n in Counter(network.taps).items() if n > 1]:
        raise ExtractorError(f"{network.label} taps {', '.join(twice)} more than once (taps); name each module once")
    if unknown := [name for name in network.taps if name not in modules]:
        there = ", ".join(filter(None, modules))
        raise ExtractorError(f"{network.label} has no module '{unknown[0]}' to tap; it has: {there}")
    two, three = (survey(module, n_images, size, network.label, device) for n_images in (2, 3))
    if not network.taps:
        hint = working(_working(module, two, three, {}))
        raise ExtractorError(
            f"{network.label}: no layers are named, and no lists of blocks were found, so name its layers with "
            f"`layers:`; {hint}"
        )
    try:
        larger: Survey = survey(module, 1, 2 * size, network.label, device)
    except ExtractorError:
        larger = {}
    axes: list[int] = []
    for name in network.taps:
        try:
            axes.append(_neuron_axis(name, module, two.get(name), three.get(name), larger.get(name)))
        except ExtractorError as error:
            hint = working(_working(module, two, three, larger))
            raise ExtractorError(f"{network.label}: {error}; {hint}") from error
    shapes = [_shape(two[name]) for name in network.taps]
    widths = [shape[axis] for shape, axis in zip(shapes, axes, strict=True)]
    layers = Layers(tuple(Layer(name, width) for name, width in zip(network.taps, widths, strict=True)))
    _require_a_name_each(network, layers)
    kept: list[slice | None] = [None] * len(axes)
    if tokens != "all":
        kept = [
            _kept(network, name, axis, shape, larger.get(name), tokens)
            for name, axis, shape in zip(network.taps, axes, shapes, strict=True)
        ]
    positions = [
        _positions(network, axis, shape, larger.get(name), part)
        for name, axis, shape, part in zip(network.taps, axes, shapes, kept, strict=True)
    ]
    return Probed(layers, tuple(axes), tuple(kept), tuple(positions))


def _require_a_name_each(network: Network, layers: Layers) -> None:
    """Where the neurons of a layer have names, each must have one."""
    for layer in layers:
        names = network.neuron_names.get(layer.name)
        if names is not None and len(names) != layer.n_neurons:
            raise ExtractorError(
                f"{network.label}: layer '{layer.name}' has {layer.n_neurons} neurons, and names for {len(names)} of "
                "them (neuron_names); give each a name, or none"
            )


def _working(module: nn.Module, two: Survey, three: Survey, larger: Survey) -> Iterable[str]:
    for name, seen in two.items():
        try:
            _neuron_axis(name, module, seen, three.get(name), larger.get(name))
        except ExtractorError:
            continue
        yield name


def _shape(seen: Seen | None) -> tuple[int, ...]:
    return () if seen is None or seen.shape is None else seen.shape


def _neuron_axis(name: str, module: nn.Module, two: Seen | None, three: Seen | None, larger: Seen | None) -> int:
    shape, more, grown = _shape_of_layer(name, two), _shape(three), _shape(larger)
    what = f"module '{name}' gives outputs of shape {shape}"
    if not (len(shape) in (2, 3, 4) and shape[0] == 2 and more[:1] == (3,) and shape[1:] == more[1:]):
        raise ExtractorError(f"{what}: the first axis must be the batch, with one to three axes behind it")
    if len(shape) == 2:
        return 1
    steady = [axis for axis in range(1, len(shape)) if len(grown) != len(shape) or shape[axis] == grown[axis]]
    if len(steady) == 1:
        return steady[0]
    wide = [axis for axis in steady if shape[axis] in _widths(module.get_submodule(name))]
    if len(wide) == 1:
        return wide[0]
    if len(shape) == 3 and 2 in steady:
        return 2
    odd = [axis for axis in steady if shape[1:].count(shape[axis]) == 1]
    if len(shape) == 4 and len(odd) == 1:
        return odd[0]
    raise ExtractorError(f"{what}, and {grown} for larger images: no axis is clearly the neuron")


def _shape_of_layer(name: str, seen: Seen | None) -> tuple[int, ...]:
    """What a module gives, if that is one tensor that can be counted."""
    if seen is None:
        raise ExtractorError(f"nothing came out of '{name}' in a forward pass: it does not run, or is scripted")
    if seen.n_calls > 1:
        raise ExtractorError(f"module '{name}' is used twice in one pass; tap the modules around it")
    if seen.shape is None:
        raise ExtractorError(f"module '{name}' gives a {seen.kind}, not a tensor; tap another")
    if seen.is_complex:
        raise ExtractorError(
            f"module '{name}' gives complex numbers, which have no order; tap a module behind it that gives their "
            "magnitudes (`abs`) or parts (`torch.view_as_real`)"
        )
    return seen.shape


def _widths(module: nn.Module) -> set[int]:
    """How wide the last part of a module is that has a width."""
    found: set[int] = set()
    for part in module.modules():
        for attribute in ("out_channels", "out_features", "num_features", "normalized_shape"):
            width = getattr(part, attribute, None)
            if isinstance(width, int | tuple):
                found = {width if isinstance(width, int) else int(width[-1])}
    return found


def _kept(
    network: Network, name: str, axis: int, shape: tuple[int, ...], larger: Seen | None, tokens: Tokens
) -> slice | None:
    """Which tokens of a layer count."""
    if len(shape) == 2 and tokens == "cls":
        return None  # Already the class token, or what was made of all tokens for each image.
    if len(shape) != 3 or axis != 2:
        raise ExtractorError(
            f"{network.label}: '{name}' gives no tokens (its outputs have the shape {shape}), so `tokens: {tokens}` "
            "means nothing there; leave it out with `layers:`, or take all tokens"
        )
    n_before = _prefix(network, shape[1], _shape(larger))
    if n_before is None:
        raise ExtractorError(f"{network.label}: which tokens of '{name}' are patches cannot be told; take all tokens")
    if tokens == "patch":
        if n_before >= shape[1]:
            raise ExtractorError(
                f"{network.label}: '{name}' gives {shape[1]} tokens, of which {n_before} are no patches, so none "
                "is left; leave it out with `layers:`, or take all tokens"
            )
        return slice(n_before, None)
    if n_before == 0:
        raise ExtractorError(f"{network.label}: '{name}' has no class token; take all tokens or patches")
    return slice(0, 1)


def _positions(
    network: Network, axis: int, shape: tuple[int, ...], larger: Seen | None, kept: slice | None
) -> Positions:
    """What is known of the positions of a layer that count; images are square, and so are grids of patches."""
    if len(shape) == 2:
        return Positions(1)
    if len(shape) == 4:
        rows, columns = (shape[other] for other in (1, 2, 3) if other != axis)
        return Positions(rows * columns, grid=(rows, columns))
    n_positions = shape[3 - axis]
    n_before = _prefix(network, n_positions, _shape(larger)) if axis == 2 else 0
    if kept is not None:
        n_positions, n_before = len(range(n_positions)[kept]), 0
    side = isqrt(max(n_positions - (n_before or 0), 0))
    in_plane = n_before is not None and side > 1 and side**2 == n_positions - n_before
    return Positions(n_positions, n_before or 0, (side, side) if in_plane else None)


def _prefix(network: Network, n_tokens: int, grown: tuple[int, ...]) -> int | None:
    """Tokens that do not multiply with the area of the image."""
    if network.prefix_tokens is not None:
        return network.prefix_tokens
    if len(grown) == 3 and grown[1] > n_tokens and (4 * n_tokens - grown[1]) % 3 == 0:
        return (4 * n_tokens - grown[1]) // 3
    if network.patch_px and (n_before := n_tokens - (network.preprocessing.size_px // network.patch_px) ** 2) >= 0:
        return n_before
    return None
