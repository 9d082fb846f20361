"""Writes the files in `vdna_files/`: run it where `vdna` 0.1.1 is installed, never in the tests.

    pip install --no-deps vdna==0.1.1
    python -m dna_pipelines_tests.golden.make_vdna_files [FOLDER]

The activations are those of `vdna_0.1.1_golden.npz`, two datasets of three layers. The reference's own
code makes DNAs of them from beginning to end: its normalisation by activation ranges, its fitting,
`save`. Only its networks are replaced, by one that hands out the activations, and packages that it
imports but does not need for this by empty modules.

- `a-TYPE.json`, `.npz`, `b-TYPE…`: written by the reference, one pair for each type of distribution.
- `ranges.json`, `.npz`: its activation ranges of dataset a, as its type `activation-ranges`.
- `activation_ranges.json`: the bounds of the golden data in the layout that it publishes.
- `ours-a-TYPE.json`, `.npz`, `ours-b-TYPE…`: the same activations measured and written by dna_pipelines.
- `wide-histogram.json`, `.npz`: ours-a with 2^31 times its counts, which the reference could not have written.
- `distances.json`: what the reference computes when it has loaded them: `theirs` (a against b), `ours`
  (ours-a against ours-b) and `mixed` (a against ours-b), by metric, neuron by neuron; and the mean EMD of
  `wide` against ours-b.
"""

import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np

from dna_pipelines.distributions import Binning, Histogram, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import Dna, dna_id
from dna_pipelines.identity import Key
from dna_pipelines.interchange import write_vdna
from dna_pipelines.interchange.ranges_file import reference_binning

HERE = Path(__file__).parent
FILES = HERE / "vdna_files"
ARRAYS = np.load(HERE / "vdna_0.1.1_golden.npz")
LAYERS = Layers((Layer("conv", 12), Layer("tokens", 16), Layer("head", 10)))
NAME = "golden"
TYPES = ("histogram", "gaussian", "layer-gaussian")
N_IMAGES = 24


def load_reference() -> ModuleType:
    """The package `vdna`, without its imports for networks and downloads."""
    from importlib.util import find_spec

    spec = find_spec("vdna")
    for name in ("torchvision", "torchvision.utils", "torchvision.transforms", "huggingface_hub"):
        sys.modules[name] = MagicMock(name=name)
    networks = types.ModuleType("vdna.networks")
    networks.__path__ = [str(Path(spec.submodule_search_locations[0]) / "networks")]
    networks.FeatureExtractionModel = object
    networks.get_feature_extractor = None
    sys.modules["vdna.networks"] = networks
    import vdna
    import vdna.utils.stats

    # scipy no longer has the argument that the reference passes.
    sqrtm = vdna.utils.stats.sqrtm
    vdna.utils.stats.sqrtm = lambda matrix, disp=True: sqrtm(matrix) if disp else (sqrtm(matrix), None)
    return vdna


def bounds() -> dict:
    """The bounds of the golden data in the format of `activation_ranges.json`."""
    named = {"mins_per_neuron": "lo", "maxs_per_neuron": "hi"}
    return {
        key: {name: {str(k): float(v) for k, v in enumerate(ARRAYS[f"{short}_{name}"])} for name in LAYERS.names}
        for key, short in named.items()
    }


def by_reference(vdna: ModuleType, side: str, distribution: str):
    """A DNA of one side's activations, measured by the reference."""
    import torch
    from vdna.networks.feature_extraction_model import FeatureExtractionModel
    from vdna.utils.settings import DataSettings, ExtractionSettings, NetworkSettings
    from vdna.vdnas import get_vdna

    class Activations(FeatureExtractionModel):
        def get_dataloader(self, data_settings):
            batch = [torch.zeros(3, 1, 1)] * N_IMAGES

            class OneBatch(list):
                dataset = batch

            return OneBatch([torch.stack(batch)])

        def get_batch_features(self, batch, device):
            return {name: torch.from_numpy(ARRAYS[f"act_{side}_{name}"]) for name in LAYERS.names}

    widths = {layer.name: layer.n_neurons for layer in LAYERS}
    # The reference reads its ranges from JSON.
    ranges = json.loads(json.dumps(bounds()))
    settings = ExtractionSettings(device="cpu", verbose=False, n_sample_images=0)
    model = Activations(NetworkSettings(neurons_per_layer=widths, name=NAME), settings, ranges)
    model.name = NAME
    made = get_vdna(distribution)
    made.fill_vdna(model, DataSettings(source=f"golden/{side}"))
    return made


def by_us(side: str) -> Dna:
    """A DNA of one side's activations, measured by dna_pipelines with the ranges of the reference."""
    low, high = (np.concatenate([ARRAYS[f"{short}_{name}"] for name in LAYERS.names]) for short in ("lo", "hi"))
    binning = reference_binning(low, high)
    pooled = np.empty((N_IMAGES, LAYERS.n_neurons))
    histograms = []
    for name, part in LAYERS.slices.items():
        own = Fold(Binning(binning.lo[part], binning.hi[part]), np.zeros(N_IMAGES, int))
        values = ARRAYS[f"act_{side}_{name}"].reshape(N_IMAGES, part.stop - part.start, -1)
        averages = np.empty(values.shape[:2])
        own.add(slice(0, values.shape[1]), values, slice(0, N_IMAGES), averages)
        histograms.append(own.histogram())
        pooled[:, part] = averages
    fields = Histogram.__dataclass_fields__
    joined = {name: np.concatenate([getattr(part, name) for part in histograms]) for name in fields}
    key = Key({"extractor": NAME, "layers": LAYERS.key(), "ranges": binning.id, "n_bins": 1000})
    moments = Moments.of(pooled, LAYERS, tuple(LAYERS.names))
    return Dna(dna_id(key.id, side), key, LAYERS, Histogram(**joined), moments, f"ours-{side}")


def wide() -> Dna:
    """Dataset a with counts that take more than 32 bits."""
    dna = by_us("a")
    counts = dna.counts * np.uint64(2**31)
    return replace(dna, histogram=replace(dna.histogram, counts=counts), label="wide")


def distances(vdna: ModuleType, folder: Path, a: str, b: str) -> dict:
    """The distances that the reference computes between two of the files it loaded."""
    loaded = {kind: [vdna.load_vdna_from_files(folder / f"{side}-{kind}.json") for side in (a, b)] for kind in TYPES}

    def neurons(found):
        return {name: values.double().tolist() for name, values in found.items()}

    gaussians = loaded["layer-gaussian"]
    return {
        "emd": neurons(vdna.EMD(*loaded["histogram"], return_neuron_wise=True)),
        "emd_mean": float(vdna.EMD(*loaded["histogram"])),
        "nfd": neurons(vdna.NFD(*loaded["gaussian"], return_neuron_wise=True)),
        "nfd_mean": float(vdna.NFD(*loaded["gaussian"])),
        "nfd_of_layer_gaussian_mean": float(vdna.NFD(*gaussians)),
        "fd": {name: float(vdna.FD(*gaussians, use_neurons_from_layer=name)) for name in LAYERS.names},
        "fd_mean": float(vdna.FD(*gaussians)),
    }


def main(folder: Path = FILES) -> None:
    vdna = load_reference()
    folder.mkdir(exist_ok=True)
    (folder / "activation_ranges.json").write_text(json.dumps(bounds(), indent=1))
    for side in "ab":
        for kind in TYPES:
            by_reference(vdna, side, "histogram-1000" if kind == "histogram" else kind).save(folder / f"{side}-{kind}")
            write_vdna(folder / f"ours-{side}-{kind}.json", by_us(side), kind, N_IMAGES, force=True)
    by_reference(vdna, "a", "activation-ranges").save(folder / "ranges")
    pairs = {"theirs": ("a", "b"), "ours": ("ours-a", "ours-b"), "mixed": ("a", "ours-b")}
    found = {name: distances(vdna, folder, *pair) for name, pair in pairs.items()}
    write_vdna(folder / "wide-histogram.json", wide(), "histogram", N_IMAGES, force=True)
    both = [vdna.load_vdna_from_files(folder / f"{name}-histogram") for name in ("wide", "ours-b")]
    found["wide"] = {"emd_mean": float(vdna.EMD(*both))}
    (folder / "distances.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
