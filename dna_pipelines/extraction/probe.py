"""Probing a network when it is registered: which axis is the neuron, and is it safe to batch?"""

from __future__ import annotations

import torch

from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.extractor import Extractor, Network
from dna_pipelines.extraction.numerics import EXACT
from dna_pipelines.extraction.taps import Taps


def probe(network: Network, *, batch_size: int = 32, device: str = "cpu", precision: str = EXACT) -> Extractor:
    """An extractor from a network.

    The batch is the axis that grows with the number of images, the neuron the one that stays when
    the image grows. Networks of one fixed image size: the last axis of three, the second of four.

    Raises:
        ExtractorError: when an output has no clear neuron axis, or when what one image gives
            depends on the other images of its batch.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ExtractorError(f"{network.name}: device '{device}' was asked for, and torch sees no GPU; use 'cpu'")
    module = network.module.eval().requires_grad_(False).to(device)
    taps = Taps(module, network.taps)
    size = network.preprocessing.size_px
    two, three = (_shapes(taps, network, n, size, device) for n in (2, 3))
    try:
        larger = _shapes(taps, network, 2, size * 2, device)
    # A network of one fixed size refuses another in ways of its own.
    except Exception:  # noqa: BLE001
        larger = None
    axes = tuple(
        _neuron_axis(name, two[index], three[index], larger[index] if larger else None)
        for index, name in enumerate(network.taps)
    )
    layers = Layers(tuple(Layer(name, shape[axis]) for name, shape, axis in zip(network.taps, two, axes, strict=True)))
    extractor = Extractor(network, taps, layers, axes, batch_size, device, precision)
    _require_independent_rows(extractor)
    return extractor


def neurons_second(output: torch.Tensor, axis: int) -> torch.Tensor:
    """A layer's output as a view of shape (n_images, n_neurons, n_positions)."""
    if output.ndim == 2:
        return output.unsqueeze(2)
    moved = output.movedim(axis, 1)
    return moved.flatten(2) if moved.ndim > 3 else moved


def _shapes(taps: Taps, network: Network, n_images: int, size: int, device: str) -> list[torch.Size]:
    found: dict[int, torch.Size] = {}
    inputs = torch.rand(n_images, 3, size, size, generator=torch.Generator().manual_seed(0))
    taps.run(inputs.to(device), lambda index, output: found.update({index: output.shape}))
    missing = [name for index, name in enumerate(network.taps) if index not in found]
    if missing:
        raise ExtractorError(f"{network.name}: nothing came out of {', '.join(missing)} in a forward pass")
    return [found[index] for index in range(len(network.taps))]


def _neuron_axis(name: str, two: torch.Size, three: torch.Size, larger: torch.Size | None) -> int:
    what = f"module '{name}' gives outputs of shape {tuple(two)}"
    if not (len(two) in (2, 3, 4) and two[0] == 2 and three[0] == 3 and two[1:] == three[1:]):
        raise ExtractorError(f"{what}: the first axis must be the batch, with one to three axes behind it")
    if len(two) == 2:
        return 1
    steady = [axis for axis in range(1, len(two)) if larger is None or two[axis] == larger[axis]]
    if larger is not None and len(steady) == 1:
        return steady[0]
    preferred = len(two) - 1 if len(two) == 3 else 1
    if preferred in steady:
        return preferred
    raise ExtractorError(f"{what}, and {tuple(larger or ())} for larger images: no axis is clearly the neuron")


def _require_independent_rows(extractor: Extractor) -> None:
    """The same image at both ends of two different batches must give the same bits."""
    size, n = extractor.network.preprocessing.size_px, extractor.batch_size
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(3, size, size, generator=generator)
    rows: list[dict[int, torch.Tensor]] = []
    for place in (0, n - 1):
        batch = torch.rand(n, 3, size, size, generator=generator)
        batch[place] = image
        found: dict[int, torch.Tensor] = {}
        extractor.run(
            batch.to(extractor.device),
            lambda index, output, place=place, found=found: found.update({index: output[place].clone()}),  # type: ignore[misc]
        )
        rows.append(found)
    moved = [
        name for index, name in enumerate(extractor.layers.names) if not torch.equal(rows[0][index], rows[1][index])
    ]
    if moved:
        raise ExtractorError(
            f"{extractor.network.name}: what an image gives depends on its batch (in {', '.join(moved)}); "
            "a frozen network in evaluation mode must treat every image alone"
        )
