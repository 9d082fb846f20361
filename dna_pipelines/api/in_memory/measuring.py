"""A network with its activation ranges, measuring collections in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines.api.inputs.collection import Collection
from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import ActivationRanges, Dna, calibration_sample, dna_id, sum_partials
from dna_pipelines.errors import UserError
from dna_pipelines.identity import multiset_id
from dna_pipelines.manifests import Shard, cut_shards
from dna_pipelines.project.progress import Progress

if TYPE_CHECKING:  # both import torch
    from dna_pipelines.extraction.extractor import Extractor, Network

_SHARD_SIZE = 1024
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True)
class NamedNetwork:
    """A network with a name, from which it is loaded again after it was pickled.

    Attributes:
        name: see `load_extractor`.
        layers: see `load_extractor`.
        root: the folder that files of the network are relative to.
        settings: batch size, device, precision and tokens.
    """

    name: str
    layers: tuple[str, ...]
    root: Path
    settings: Mapping[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is loaded again."""
        return {name: value for name, value in vars(self).items() if name != "extractor"}

    @cached_property
    def extractor(self) -> Extractor:
        """The network, probed."""
        from dna_pipelines.extraction.loading.registry import load_extractor

        return load_extractor(self.name, root=self.root, layers=self.layers, **self.settings)


@dataclass(frozen=True)
class GivenNetwork:
    """A network that was given as an object. It is not pickled."""

    name: str
    probed: Extractor | None

    def __getstate__(self) -> dict[str, Any]:
        """Without the network."""
        return {"name": self.name, "probed": None}

    @property
    def extractor(self) -> Extractor:
        """The network, probed.

        Raises:
            UserError: after it was pickled (`api.pickled-network`).
        """
        if self.probed is None:
            raise UserError(
                f"{self.name} was given as an object, which a pickled fingerprint does not keep; measure the images "
                "again, or name the network as MODULE:FUNCTION",
                code="api.pickled-network",
                network=self.name,
            )
        return self.probed


@dataclass(frozen=True, eq=False)
class Measuring:
    """What measures collections so that their fingerprints compare.

    Attributes:
        name: of the network.
        network: what gives the network.
        ranges: its activation ranges.
        workers: threads; 0 for as many as there are cores.
    """

    name: str
    network: NamedNetwork | GivenNetwork
    ranges: ActivationRanges
    workers: int

    @property
    def extractor(self) -> Extractor:
        """The network, probed.

        Raises:
            UserError: when it was given as an object, and this was pickled (`api.pickled-network`).
        """
        return self.network.extractor

    def measure(self, images: Collection, progress: Progress) -> tuple[Dna, Blocks]:
        """The DNA and the blocks of a collection.

        Raises:
            SourceChanged: when an image changed since the collection was read.
        """
        from dna_pipelines.extraction.partials import extract_partials

        shards: tuple[Shard, ...] = cut_shards(images.items, (), _SHARD_SIZE)
        layers, n_bins = self.extractor.layers, self.ranges.binning.n_bins
        with progress.task(f"{self.name}: {images.label}", len(images.items)) as advance:
            partials = extract_partials(
                self.extractor, self.ranges, shards, images.read, workers=self.workers, on_images=advance
            )
            with closing(partials):
                sums = ((part.histogram, part.moments, part.blocks) for _, part in partials)
                histogram, moments, blocks = sum_partials(sums, layers.n_neurons, n_bins)
        key = self.extractor.comparability_key(self.ranges)
        identity = dna_id(key.id, multiset_id(images.items))
        return Dna(identity, key, layers, histogram, moments, images.label), blocks


def measuring_with(
    network: str | Network,
    images: Collection,
    *,
    layers: tuple[str, ...],
    tokens: Literal["all", "cls", "patch"],
    device: str,
    precision: str,
    batch_size: int,
    workers: int,
    progress: Progress,
) -> Measuring:
    """A network with its own activation ranges, or with ranges measured on these images where it has none."""
    from dna_pipelines.extraction.calibration import calibrate
    from dna_pipelines.extraction.loading.registry import with_layers
    from dna_pipelines.extraction.probing.probe import probe

    settings: dict[str, Any] = {
        "batch_size": batch_size, "device": device, "precision": precision, "tokens": tokens,
    }  # fmt: skip
    given: NamedNetwork | GivenNetwork
    if isinstance(network, str):
        given = NamedNetwork(network, layers, Path.cwd(), settings)
    else:
        given = GivenNetwork(network.name, probe(with_layers(network, layers), **settings))
    extractor = given.extractor
    name, ranges = extractor.network.name, extractor.own_ranges
    if ranges is None:
        digests = calibration_sample(images.items, _CALIBRATION_IMAGES)
        with progress.task(f"calibrating {name}", extractor.n_calibration_passes * len(digests)) as advance:
            ranges = calibrate(extractor, digests, (images.label,), images.read, workers=workers, on_images=advance)
    return Measuring(name, given, ranges, workers)
