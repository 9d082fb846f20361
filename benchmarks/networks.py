"""The reference's own networks with random weights, as both sides use them, and photographs to look at."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from dna_pipelines.dna import ActivationRanges
from dna_pipelines.extraction.calibration import calibrate
from dna_pipelines.extraction.devices.numerics import EXACT
from dna_pipelines.extraction.extractor import Extractor, Network
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.probing.probe import probe
from dna_pipelines.extraction.stream.stage_times import StageClock, StageTimes, n_cores
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.imaging import Preprocessing
from dna_pipelines.manifests import Shard

N_BINS = 1000
SHARD = 1024


class Images:
    """Photographs (500 x 375 px, JPEG) made of random shapes, as files in a folder."""

    def __init__(self, folder: Path, n_images: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        # Pillow and numpy let other threads work.
        with ThreadPoolExecutor(n_cores()) as pool:
            self.files: dict[str, Path] = dict(pool.map(self._made, range(n_images)))

    def _made(self, number: int) -> tuple[str, Path]:
        rng = np.random.default_rng(number)
        patches = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.asarray(patches.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        noisy = (pixels + rng.integers(-20, 21, pixels.shape)).clip(0, 255).astype(np.uint8)
        path = self.folder / f"{number:05d}.jpg"
        Image.fromarray(noisy).save(path, quality=90)
        return digest_of(path.read_bytes()), path

    def read(self, digest: str) -> bytes:
        return self.files[digest].read_bytes()

    @property
    def shards(self) -> list[Shard]:
        items = [Item(digest) for digest in sorted(self.files)]
        return [Shard(tuple(items[start : start + SHARD])) for start in range(0, len(items), SHARD)]


class Ours:
    """A network through this project."""

    def __init__(
        self, network: Network, images: Images, *, device: str = "cpu", batch_size: int, precision: str = EXACT
    ):
        self.extractor: Extractor = probe(network, batch_size=batch_size, device=device, precision=precision)
        self._images = images
        self.ranges: ActivationRanges = calibrate(self.extractor, sorted(images.files)[:32], ("x",), images.read)

    def fit(self, times: int = 1) -> tuple[np.ndarray, StageTimes]:
        """The counts of all neurons, and where the time went; of all images several times over."""
        clock, shards = StageClock(), self._images.shards * times
        result = extract_partials(self.extractor, self.ranges, shards, self._images.read, clock=clock)
        counts = sum(partial.histogram.counts for _, partial in result)
        return counts, clock.times()


class Theirs:
    """The same network through the reference: its dataset, its loader, its loop, its histograms."""

    def __init__(self, vdna: ModuleType, model: nn.Module, ours: Ours, images: Images, **settings: Any) -> None:
        self._vdna, self._images = vdna, images
        model.extraction_settings = vdna.utils.settings.ExtractionSettings(verbose=False, n_sample_images=1, **settings)
        model.name = "benchmark"
        # The same ranges, so that both count the same: the reference widens its own about zero.
        binning, device = ours.ranges.binning, model.extraction_settings.device
        names = list(model.network_settings.neurons_per_layer)
        slices = ours.extractor.layers.slices.values()
        for name, part in zip(names, slices, strict=True):
            middle, half = (binning.lo[part] + binning.hi[part]) / 2, (binning.hi[part] - binning.lo[part]) / 2
            for values, kept in ((middle, model.norm_means_per_layer), (half, model.norm_stds_per_layer)):
                kept[name] = torch.from_numpy(values).reshape(1, -1, 1, 1).to(device)
        self._model = model

    def fit(self) -> np.ndarray:
        """The counts of all neurons."""
        result = self._vdna.vdnas.get_vdna(f"histogram-{N_BINS}")
        source = str(self._images.folder)
        result.fill_vdna(self._model, self._vdna.utils.settings.DataSettings(source=source, shuffle_files=False))
        return np.concatenate([counts.cpu().numpy() for counts in result.data.values()])


def vit(vdna: ModuleType, *, tiny: bool = False) -> tuple[Network, nn.Module]:
    """ViT-B/16 (the reference's DINO architecture; `tiny` for trying out), and the reference's model around it."""
    torch.manual_seed(0)
    networks = vdna.networks.dino_vit
    module = (networks.vit_tiny if tiny else networks.vit_base)(num_relation_blocks=1).eval().requires_grad_(False)
    taps = (*(f"blocks.{index}" for index in range(12)), "norm")

    class Model(vdna.networks.FeatureExtractionModel):
        # What the reference's class does, without the download that its constructor begins with.
        get_features = networks.DINOViTFeatExtractor.get_features

        def __init__(self) -> None:
            width = module.embed_dim
            names = [*(f"block_{index}" for index in range(12)), "last_norm"]
            super().__init__(_settings(vdna, dict.fromkeys(names, width)))
            self.model = module

    return _network("vit", module, taps), Model().eval()


def resnet50(vdna: ModuleType, folder: Path) -> tuple[Network, nn.Module]:
    """ResNet-50 as the reference has it, and the reference's model around it."""
    torch.manual_seed(0)
    networks = vdna.networks.random_resnet50
    nothing = folder / "no_ranges.json"
    nothing.write_text(json.dumps({"mins_per_neuron": {}, "maxs_per_neuron": {}}), encoding="utf-8")

    class Model(networks.ResNetFeatureExtractor):
        def get_features(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
            # Its own `forward` calls this too, after a copy to a GPU that need not be there.
            return self.forward_backbone(batch)[1]

    # The only thing it would download besides weights.
    download, networks.hf_hub_download = networks.hf_hub_download, lambda **_: str(nothing)
    try:
        model = Model(networks.Bottleneck, [3, 4, 6, 3]).eval().requires_grad_(False)
    finally:
        networks.hf_hub_download = download

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net.forward_backbone(images)[0]

    taps = tuple(f"net.layer{stage}.{block}" for stage, n in enumerate((3, 4, 6, 3), start=1) for block in range(n))
    return _network("resnet50", Backbone().eval(), taps), model


def _settings(vdna: ModuleType, neurons: dict[str, int]) -> Any:
    return vdna.utils.settings.NetworkSettings([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], neurons, (224, 224), "x")


def _network(name: str, module: nn.Module, taps: tuple[str, ...]) -> Network:
    return Network(name, module, Preprocessing(224), taps, "random", name, "none", "for benchmarks")
