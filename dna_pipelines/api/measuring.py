"""A network with its activation ranges, measuring collections in memory."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines.api.collection import Collection
from dna_pipelines.distributions import Blocks
from dna_pipelines.dna import ActivationRanges, Dna, calibration_sample, dna_id, sum_partials
from dna_pipelines.identity import multiset_id
from dna_pipelines.manifests import Shard, cut_shards
from dna_pipelines.project.progress import Progress

if TYPE_CHECKING:  # both import torch
    from dna_pipelines.extraction.extractor import Extractor, Network

_SHARD_SIZE = 1024
_CALIBRATION_IMAGES = 512


@dataclass(frozen=True, eq=False)
class Measuring:
    """What measures collections so that their fingerprints compare.

    Attributes:
        name: of the network.
        extractor: the network, probed.
        ranges: its activation ranges.
        workers: threads; 0 for as many as there are cores.
    """

    name: str
    extractor: Extractor
    ranges: ActivationRanges
    workers: int

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
    from dna_pipelines.extraction.loading.registry import load_extractor, with_layers
    from dna_pipelines.extraction.probing.probe import probe

    settings: dict[str, Any] = {
        "batch_size": batch_size, "device": device, "precision": precision, "tokens": tokens,
    }  # fmt: skip
    if isinstance(network, str):
        extractor = load_extractor(network, root=Path.cwd(), layers=layers, **settings)
    else:
        extractor = probe(with_layers(network, layers), **settings)
    name, ranges = extractor.network.name, extractor.own_ranges
    if ranges is None:
        digests = calibration_sample(images.items, _CALIBRATION_IMAGES)
        with progress.task(f"calibrating {name}", extractor.n_calibration_passes * len(digests)) as advance:
            ranges = calibrate(extractor, digests, (images.label,), images.read, workers=workers, on_images=advance)
    return Measuring(name, extractor, ranges, workers)
