"""What an extractor is: a frozen network, what it is fed, what is tapped, and its fingerprint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import PIL
import torch
from torch import nn

from dna_pipelines.distributions import Binning, Layers
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.device_fold import fold_key
from dna_pipelines.extraction.devices.numerics import EXACT, precision_of
from dna_pipelines.extraction.inputs import input_key
from dna_pipelines.extraction.taps import Sink, Taps
from dna_pipelines.identity import Key, stable_hash
from dna_pipelines.imaging import Preprocessing


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network as its author hands it over, before it was probed.

    Attributes:
        name: what the network is called, whatever the datasets file calls the extractor and wherever its
            files are: two copies of one network can be compared.
        module: the network; it takes (batch, 3, size, size) float32.
        preprocessing: how an image becomes its input.
        taps: module names whose outputs are the layers, in order; its blocks where empty.
        weights_digest: sha256 of the weights file; empty where there are no weights. Of people's own networks the
            weights themselves are hashed too.
        architecture: a word for the code that uses the weights; change it when the code changes.
        licence: of the weights.
        covariance_layers, image_layers: layers with a full covariance, and with one row per image;
            the last one where empty.
        origin: where it was loaded from, for people; its name where empty.
        prefix_tokens: how many tokens (class, registers) stand before those of patches; probed where None.
        patch_px: the edge of a patch, which helps probing where the network takes images of one size only.
        libraries: installed packages whose versions move last bits, besides torch, Pillow and numpy.
        neuron_names: by layer, what its neurons are called, for people; of layers without names, nothing.
            No part of any key.
        ranges: activation ranges that its author measured, for all its layers; None where users measure them.
    """

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    taps: tuple[str, ...]
    weights_digest: str
    architecture: str
    licence: str
    summary: str
    covariance_layers: tuple[str, ...] = ()
    image_layers: tuple[str, ...] = ()
    origin: str = ""
    prefix_tokens: int | None = None
    patch_px: int | None = None
    libraries: tuple[str, ...] = ()
    neuron_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: ActivationRanges | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.origin or self.name


@dataclass(frozen=True)
class Positions:
    """The positions of a layer that are counted.

    Attributes:
        n: how many.
        n_before: how many of them (class and register tokens) stand before those of the grid.
        grid: rows and columns of those that lie in the image's plane; None where none do, or it cannot be told.
    """

    n: int
    n_before: int = 0
    grid: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Extractor:
    """A probed network: its layers are known, and it is safe to batch.

    `taps` are its hooks; `axes` says, layer by layer, which axis of the output is the neuron, and `positions`
    what the others are.
    """

    network: Network
    taps: Taps
    layers: Layers
    axes: tuple[int, ...]
    positions: tuple[Positions, ...]
    batch_size: int = 32
    device: str = "cpu"
    precision: str = EXACT
    tokens: Literal["all", "cls", "patch"] = "all"

    @property
    def covariance_layers(self) -> tuple[str, ...]:
        """Layers that keep a full covariance."""
        return self._tapped(self.network.covariance_layers)

    @property
    def image_layers(self) -> tuple[str, ...]:
        """Layers that keep one row per image."""
        return self._tapped(self.network.image_layers)

    @property
    def neuron_names(self) -> dict[str, tuple[str, ...]]:
        """What the neurons of the layers are called that have names for them."""
        return {name: names for name, names in self.network.neuron_names.items() if name in self.layers.slices}

    def _tapped(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.layers.slices) or (self.layers.names[-1],)

    @property
    def own_ranges(self) -> ActivationRanges | None:
        """The ranges that came with the network, for the layers that are tapped; None unless they cover all."""
        return self.network.ranges.of(self.layers) if self.network.ranges else None

    @property
    def parts(self) -> dict[str, Any]:
        """What decides the activations, up to last bits; the comparability key without ranges."""
        return {
            "extractor": self.network.name,
            "architecture": self.network.architecture,
            "weights": self.network.weights_digest,
            "preprocessing": self.network.preprocessing.key(),
            "layers": self.layers.key(),
            "precision": self.precision,
            **({} if self.tokens == "all" else {"tokens": self.tokens}),
        }

    @property
    def fingerprint(self) -> str:
        """The hash of `parts`: activation ranges belong to it."""
        return stable_hash(self.parts)

    @property
    def n_calibration_passes(self) -> int:
        """How often calibration goes through its images."""
        return 1

    def bound(self, ranges: ActivationRanges) -> Extractor:  # noqa: ARG002 (of views)
        """The extractor as it measures with its ranges: with the maps that are frozen with them, if it has any."""
        return self

    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """One forward pass in this extractor's precision; `sink` receives every tapped output once.

        Raises:
            ExtractorError: when the network fails, or the device has too little memory.
        """
        with self.memory_told(), precision_of(self.precision, self.device):
            try:
                self.taps.run(inputs, sink)
            except ExtractorError as error:
                raise ExtractorError(f"{self.network.label}: {error}") from error

    @contextmanager
    def memory_told(self) -> Iterator[None]:
        """Where the device has too little memory, say what to change.

        Raises:
            ExtractorError: that it has too little.
        """
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ExtractorError(
                f"{self.network.label}: {self.device} has too little memory for batches of {self.batch_size} images; "
                "lower batch_size of this extractor in the datasets file"
            ) from error

    def comparability_key(self, ranges: ActivationRanges) -> Key:
        """What decides which DNAs may be compared."""
        binning: Binning = ranges.binning
        return Key({**self.parts, "ranges": ranges.id, "n_bins": binning.n_bins})

    def compute_key(self, ranges: ActivationRanges) -> Key:
        """The comparability key and what moves last bits: batch shape, threads, device, resizing, versions."""
        return Key(
            {
                "comparability": self.comparability_key(ranges).id,
                "batch_size": self.batch_size,
                "threads": 1,
                "device": _device_name(self.device),
                **fold_key(self.device),
                "torch": torch.__version__,
                "pillow": PIL.__version__,
                "numpy": np.__version__,
                **input_key(self.network.preprocessing),
                **{name: version(name) for name in self.network.libraries},
            }
        )


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return f"cuda {torch.cuda.get_device_name(torch.device(device))}"
    return f"{device} {torch.backends.cpu.get_cpu_capability()}"
