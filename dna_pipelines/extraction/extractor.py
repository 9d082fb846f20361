"""Networks and extractors: a frozen network with its preprocessing and layers, and the probed network."""

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
    """A frozen network with everything needed to make an extractor of it.

    A function of your own that returns a `Network` becomes an extractor by writing `network: MODULE:FUNCTION` in the
    datasets file (docs/extractors.md).

    Attributes:
        name: the name of the network. It is part of the comparability key, and independent of what the datasets file
            calls the extractor and of where files are, so DNAs of two copies of one network can be compared.
        module: the network, a plain `torch.nn.Module` in evaluation mode. It takes (n_images, 3, size_px, size_px)
            float32. The outputs of its layers have shape (n_images, n_neurons), (n_images, n_neurons, height, width)
            or (n_images, n_tokens, n_neurons); probing finds out which axis is the neuron.
        preprocessing: how an image becomes an input; `preprocessing.size_px` is the height and width in pixels.
        taps: names of the modules whose outputs are the layers, in order; its blocks if empty.
        weights_digest: sha256 of the weight file, in hexadecimal; empty without weights. The weights of your own
            networks are hashed in addition.
        architecture: a word for the code that uses the weights; change it when the code changes.
        licence: of the weights.
        summary: one sentence for `dna extractors`.
        covariance_layers: layers that keep a full covariance; the last one if empty.
        image_layers: layers that keep one row of features per image; the last one if empty.
        origin: the location it was loaded from, for messages; its name if empty.
        prefix_tokens: number of tokens (class, registers) before those of patches; probed if None.
        patch_px: height and width of a patch in pixels, which helps probing networks of one fixed image size.
        libraries: installed packages, besides torch, Pillow and NumPy, whose versions affect the last bits.
        neuron_names: names of the neurons, by layer, for people; not part of any key.
        ranges: activation ranges of all its layers, measured by its author; None if users calibrate it.

    Raises:
        ExtractorError: not here, but when the network is loaded as an extractor and cannot serve as one; the codes
            `network.…` of docs/errors.md say why.

    Examples:
        >>> import torch
        >>> from dna_pipelines.extraction.probing.probe import probe
        >>> from dna_pipelines.imaging import Preprocessing
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch._C.Generator object at ...>
        >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
        >>> network = Network(
        ...     name="tiny", module=module, preprocessing=Preprocessing(32), taps=("1",), weights_digest="",
        ...     architecture="tiny/1", licence="none", summary="One convolution.",
        ... )
        >>> extractor = probe(network, batch_size=4)
        >>> extractor.layers.names, extractor.layers.n_neurons, extractor.positions[0].grid
        (['1'], 8, (32, 32))
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

    def __post_init__(self) -> None:
        """Refuse attributes of another type. Whether the module can serve is examined when it is loaded.

        Raises:
            ExtractorError: (`network.attribute`).
        """
        texts = ("name", "weights_digest", "architecture", "licence", "summary", "origin")
        numbers = ("prefix_tokens", "patch_px")
        wanted: dict[str, Any] = {"preprocessing": Preprocessing}
        wanted |= dict.fromkeys(texts, str) | dict.fromkeys(numbers, int | None)
        for attribute, kind in wanted.items():
            if not isinstance(value := getattr(self, attribute), kind):
                raise ExtractorError(
                    f"{attribute} of a Network is a {type(value).__name__}; it must be {_word(kind)}",
                    code="network.attribute",
                    attribute=attribute,
                    type=type(value).__name__,
                )
        if isinstance(self.module, nn.Module):
            self._require_layers()

    def _require_layers(self) -> None:
        """Refuse chosen layers that are neither tapped nor modules."""
        modules = dict(self.module.named_modules())
        for attribute in ("covariance_layers", "image_layers"):
            for layer in getattr(self, attribute):
                if layer not in modules and layer not in self.taps:
                    raise ExtractorError(
                        f"{attribute} names '{layer}', which is no module of {self.name}",
                        code="network.attribute",
                        attribute=attribute,
                        layer=layer,
                    )

    @property
    def label(self) -> str:
        """What messages call the network."""
        return self.origin or self.name


def _word(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


@dataclass(frozen=True)
class Positions:
    """The positions of a layer whose activations are counted.

    Attributes:
        n: number of positions.
        n_before: number of them (class and register tokens) before those of the grid.
        grid: rows and columns of the positions in the plane of the image; None if there are none, or if unknown.
    """

    n: int
    n_before: int = 0
    grid: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Extractor:
    """A probed network: its layers are known, and it has passed the determinism check.

    Attributes:
        network: the network.
        taps: the hooks on its layers.
        layers: names and numbers of neurons.
        axes: layer by layer, which axis of the output is the neuron.
        positions: layer by layer, what the other axes are.
        batch_size: images in every batch; the last batch is padded.
        device: `cpu`, or one GPU, such as `cuda:0`.
        precision: `float32` or `fast`.
        tokens: which tokens of a transformer count.
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
        """Layers that keep one row of features per image."""
        return self._tapped(self.network.image_layers)

    @property
    def neuron_names(self) -> dict[str, tuple[str, ...]]:
        """The names of the neurons, for the layers that have names."""
        return {name: names for name, names in self.network.neuron_names.items() if name in self.layers.slices}

    def _tapped(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.layers.slices) or (self.layers.names[-1],)

    @property
    def own_ranges(self) -> ActivationRanges | None:
        """The ranges that came with the network, for the layers that are tapped; None unless they cover all."""
        return self.network.ranges.of(self.layers) if self.network.ranges else None

    @property
    def parts(self) -> dict[str, Any]:
        """What determines the activations, up to last bits; the comparability key without activation ranges."""
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
        """The hash of `parts`, to which activation ranges belong."""
        return stable_hash(self.parts)

    @property
    def n_calibration_passes(self) -> int:
        """How often calibration reads its images."""
        return 1

    def bound(self, ranges: ActivationRanges) -> Extractor:  # noqa: ARG002 (of views)
        """The extractor with the maps that are frozen with its activation ranges, if it is a linear view."""
        return self

    def run(self, inputs: torch.Tensor, sink: Sink) -> None:
        """One forward pass in this extractor's precision; `sink` receives the output of every layer once.

        Args:
            inputs: (batch_size, 3, size_px, size_px) float32 on the device.
            sink: called with the index of a layer and its output.

        Raises:
            ExtractorError: `network.forward` or `network.layer-unusable` when the network fails, `network.memory` when
                the device has too little memory.
        """
        with self.memory_errors(), precision_of(self.precision, self.device):
            self.taps.run(inputs, sink)

    @contextmanager
    def memory_errors(self) -> Iterator[None]:
        """Turn torch's out-of-memory errors in a `with` block into ones that say which setting to change.

        Raises:
            ExtractorError: `network.memory`.
        """
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ExtractorError(
                f"{self.network.label}: {self.device} has too little memory for batches of {self.batch_size} images; "
                "lower batch_size of this extractor in the datasets file",
                code="network.memory",
                network=self.network.label,
                device=self.device,
                batch_size=self.batch_size,
            ) from error

    def comparability_key(self, ranges: ActivationRanges) -> Key:
        """What determines which DNAs may be compared."""
        binning: Binning = ranges.binning
        return Key({**self.parts, "ranges": ranges.id, "n_bins": binning.n_bins})

    def compute_key(self, ranges: ActivationRanges) -> Key:
        """The comparability key and what affects last bits: batch shape, threads, device, resizing, versions."""
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
