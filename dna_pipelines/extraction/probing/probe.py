"""Probing a network: which axis of each layer is the neuron, and whether the network is deterministic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.numerics import EXACT, reproducible
from dna_pipelines.extraction.extractor import Extractor, Network, Positions
from dna_pipelines.extraction.probing.determinism import require_deterministic
from dna_pipelines.extraction.probing.layer_choice import in_order, listed, usable_hint
from dna_pipelines.extraction.probing.module_outputs import ModuleOutputs, module_outputs
from dna_pipelines.extraction.probing.neuron_axis import NoLayerError, neuron_axis, shape_of
from dna_pipelines.extraction.probing.tokens import Tokens, kept_tokens, positions_of
from dna_pipelines.extraction.taps import Taps


@dataclass(frozen=True)
class Probed:
    """The properties of a network's layers.

    Attributes:
        layers: their names and numbers of neurons.
        axes: layer by layer, which axis of the output is the neuron.
        kept: layer by layer, which tokens count; None for all.
        positions: layer by layer, the positions that count.
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
    """Make an extractor from a network, after checking that it can serve as one.

    Args:
        network: the network; it is frozen and moved to the device.
        batch_size: images in one pass.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `float32` or `fast`.
        tokens: which tokens of a transformer count.

    Raises:
        ExtractorError: when a layer has no clear neuron axis (`network.layer-unusable`) or is not finite
            (`network.not-finite`), when activations are random (`network.random`), depend on the other images of the
            batch (`network.depends-on-batch`) or on concurrent passes (`network.shared-state`), or when the device
            is missing (`network.device`) or has too little memory (`network.memory`).
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ExtractorError(
            f"{network.label}: the device is '{device}', but torch sees no GPU; use 'cpu'",
            code="network.device",
            network=network.label,
            device=device,
            n_devices=0,
        )
    try:
        network.module.eval().requires_grad_(False).to(device)
    except torch.OutOfMemoryError as error:
        raise ExtractorError(
            f"{network.label}: {device} has too little memory for the network; use another device",
            code="network.memory",
            network=network.label,
            device=device,
        ) from error
    probed = probe_layers(network, device=device, tokens=tokens)
    taps = Taps(network.module, network.taps, kept=probed.kept, label=network.label)
    shape = (probed.layers, probed.axes, probed.positions)
    extractor = Extractor(network, taps, *shape, batch_size, device, precision, tokens)
    with reproducible():
        require_deterministic(extractor)
    return extractor


def probe_layers(network: Network, *, device: str = "cpu", tokens: Tokens = "all") -> Probed:
    """The layers of a network, from forward passes over two and three images and over a larger one.

    The batch is the axis that grows with the number of images, the neuron the one whose length stays when the
    image grows (`neuron_axis.py`).

    Raises:
        ExtractorError: `network.no-layers`, `network.layer-unknown`, `network.layer-repeated`,
            `network.layer-unusable` (with the modules that can be layers), `network.neuron-names`,
            `network.tokens` or `network.forward`.
    """
    module, size = network.module.eval(), network.preprocessing.size_px
    _require_existing(network)
    two, three = (module_outputs(module, n_images, size, network.label, device) for n_images in (2, 3))
    if not network.taps:
        usable = in_order(_usable(module, two, three, {}))
        raise ExtractorError(
            f"{network.label}: it has no lists of blocks to use as layers, so choose them with `layers:`; "
            f"{usable_hint(usable)}",
            code="network.no-layers",
            network=network.label,
            usable=usable,
        )
    try:
        larger: ModuleOutputs = module_outputs(module, 1, 2 * size, network.label, device)
    except ExtractorError:
        larger = {}
    axes: list[int] = []
    for name in network.taps:
        try:
            axes.append(neuron_axis(module.get_submodule(name), two.get(name), three.get(name), larger.get(name)))
        except NoLayerError as error:
            usable = in_order(_usable(module, two, three, larger))
            raise ExtractorError(
                f"{network.label}: module '{name}' {error}; {usable_hint(usable)}",
                code="network.layer-unusable",
                network=network.label,
                layer=name,
                reason=error.reason,
                shape=list(shape_of(two.get(name))),
                usable=usable,
            ) from error
    shapes = [shape_of(two[name]) for name in network.taps]
    widths = [shape[axis] for shape, axis in zip(shapes, axes, strict=True)]
    layers = Layers(tuple(Layer(name, width) for name, width in zip(network.taps, widths, strict=True)))
    _require_all_names(network, layers)
    each = list(zip(network.taps, axes, shapes, strict=True))
    kept = [kept_tokens(network, name, axis, shape, shape_of(larger.get(name)), tokens) for name, axis, shape in each]
    positions = [
        positions_of(network, axis, shape, shape_of(larger.get(name)), part)
        for (name, axis, shape), part in zip(each, kept, strict=True)
    ]
    return Probed(layers, tuple(axes), tuple(kept), tuple(positions))


def _require_existing(network: Network) -> None:
    modules = [name for name, _ in network.module.named_modules()]
    if repeated := [name for name, n in Counter(network.taps).items() if n > 1]:
        raise ExtractorError(
            f"{network.label} names {', '.join(repeated)} more than once in `taps`; name each module once",
            code="network.layer-repeated",
            network=network.label,
            layers=repeated,
        )
    if unknown := [name for name in network.taps if name not in modules]:
        raise ExtractorError(
            f"{network.label} has no module '{unknown[0]}' to tap; it has: {listed(modules)}",
            code="network.layer-unknown",
            network=network.label,
            layer=unknown[0],
            modules=in_order(modules),
        )


def _require_all_names(network: Network, layers: Layers) -> None:
    """If the neurons of a layer have names, each must have one."""
    for layer in layers:
        names = network.neuron_names.get(layer.name)
        if names is not None and len(names) != layer.n_neurons:
            raise ExtractorError(
                f"{network.label}: layer '{layer.name}' has {layer.n_neurons} neurons, but `neuron_names` has "
                f"{len(names)} names for them; give each neuron a name, or none",
                code="network.neuron-names",
                network=network.label,
                layer=layer.name,
                n_neurons=layer.n_neurons,
                n_names=len(names),
            )


def _usable(module: nn.Module, two: ModuleOutputs, three: ModuleOutputs, larger: ModuleOutputs) -> Iterator[str]:
    """The modules that can be layers."""
    for name, output in two.items():
        try:
            neuron_axis(module.get_submodule(name), output, three.get(name), larger.get(name))
        except NoLayerError:
            continue
        yield name
