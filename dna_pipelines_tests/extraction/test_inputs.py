"""The fast way from bytes to floats: how near it is to Pillow's, and what that does to a DNA.

With `-s`, the figures of docs/precision.md are printed.
"""

import io
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dna_pipelines.comparison import emd_bins
from dna_pipelines.distributions import Binning
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import Unreadable
from dna_pipelines.extraction import inputs as module
from dna_pipelines.extraction.inputs import input_key, network_input, torch_resize
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.taps import neurons_second
from dna_pipelines.imaging import Preprocessing, decode, pillow_resize
from dna_pipelines_tests.raising import raises

EDGES = st.integers(2, 160)


@given(
    height=EDGES, width=EDGES, down=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    interpolation=st.sampled_from(["bilinear", "bicubic"]), harsh=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_even_noise_made_smaller_is_pillows_to_two_levels(height, width, down, interpolation, harsh, seed):
    """Overshoot is cut off between the two passes, so another order of them would differ by dozens."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if harsh:
        image = np.where(image < 128, 0, 255).astype(np.uint8)
    size = [max(2, round(edge * share)) for edge, share in zip((width, height), down, strict=True)]
    ours, pillows = (resize(image, *size, interpolation).astype(int) for resize in (torch_resize, pillow_resize))
    assert np.abs(ours - pillows).max() <= 2


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_photograph_made_smaller_is_pillows_to_one_level(interpolation):
    """But for less than one value in a million; more than 99 in 100 are equal."""
    differences = np.zeros(3, int)
    for image in map(decode, photographs()):
        for one in (image, np.ascontiguousarray(image.transpose(1, 0, 2))):
            for target in ((96, 96), (224, 224), (336, 336)):
                size = [min(edge, wanted) for edge, wanted in zip(one.shape[1::-1], target, strict=True)]
                found = [resize(one, *size, interpolation).astype(int) for resize in (torch_resize, pillow_resize)]
                differences += np.bincount(np.abs(found[0] - found[1]).ravel(), minlength=3)
    equal, one_level, two_levels = differences / differences.sum()
    print(f"{interpolation}: {equal:.2%} equal, {one_level:.2%} by one level, {two_levels:.1e} by two")  # noqa: T201
    assert one_level < 0.01
    assert two_levels < 1e-6


@pytest.mark.parametrize(
    ("size", "target", "interpolation"),
    [((20, 30), (40, 60), "bicubic"), ((20, 30), (10, 60), "bicubic"), ((40, 30), (20, 15), "lanczos"),
     ((40, 30), (20, 15), "box"), ((40, 1), (1, 20), "bicubic"), ((5, 5), (1, 1), "bilinear")],
)  # fmt: skip
def test_the_rest_is_pillows_own(size, target, interpolation):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    arguments = (image, target[1], target[0], interpolation)
    np.testing.assert_array_equal(torch_resize(*arguments), pillow_resize(*arguments))


def test_pixels_that_may_not_be_written_to_are_no_reason_for_a_warning():
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    expected = torch_resize(image, 8, 8, "bicubic")
    image.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(torch_resize(image, 8, 8, "bicubic"), expected)


def test_what_cannot_be_decoded_is_an_error_with_the_reason():
    with raises(Unreadable, "image.not-an-image"):
        network_input(b"hello", Preprocessing(8))


def test_what_resized_is_in_the_compute_key_alone(monkeypatch):
    extractor = load_extractor("seeded_vit", batch_size=8)
    binning = Binning.from_observed(np.zeros(256, np.float32), np.ones(256, np.float32), extractor.layers)
    ranges = ActivationRanges(extractor.layers, binning, np.zeros(256), np.ones(256), np.zeros(256), 1, ())
    comparability, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    monkeypatch.setattr(module.torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert extractor.comparability_key(ranges).id == comparability.id
    assert extractor.compute_key(ranges).id != compute.id


def test_pillows_resizing_is_called_so():
    fast = Preprocessing(8)
    assert input_key(fast)["resize"].startswith("torch")
    for slow in (replace(fast, interpolation="lanczos"), Preprocessing.reference(8)):
        assert input_key(slow)["resize"] == "pillow"


@lru_cache(maxsize=1)
def photographs():
    """JPEGs of 500 pixels' width, and their middles: what scikit-image and scikit-learn ship."""
    skimage, sklearn = pytest.importorskip("skimage"), pytest.importorskip("sklearn")
    folders = [Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images"]
    names = ["astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "rocket.jpg", "china.jpg", "flower.jpg"]
    files = []
    for path in (folder / name for name in names for folder in folders):
        if path.exists():
            whole = Image.open(path).convert("RGB")
            width, height = whole.size
            for image in (whole, whole.crop((width // 4, height // 4, 3 * width // 4, 3 * height // 4))):
                buffer = io.BytesIO()
                image.resize((500, 500 * image.height // image.width)).save(buffer, "jpeg", quality=90)
                files.append(buffer.getvalue())
    return tuple(files)


def counts(extractor, binning, images):
    """The histogram of a DNA of some network inputs."""
    fold, pooled = Fold(binning, np.zeros(len(images), int)), np.empty((len(images), extractor.layers.n_neurons))
    rows = slice(0, len(images))

    def sink(index, output):
        part = list(extractor.layers.slices.values())[index]
        fold.add(part, neurons_second(output, extractor.axes[index]).numpy(), rows, pooled[rows, part])

    extractor.taps.run(torch.from_numpy(np.stack(images)), sink)
    return fold.histogram()


@pytest.mark.parametrize("name", ["seeded_cnn", "seeded_vit"])
def test_the_fast_way_moves_no_layer_by_more_than_a_ten_thousandth_of_the_range(name):
    """What keeps it out of the comparability key. The halves of the same photographs differ by 1 % and more."""
    extractor = load_extractor(name, batch_size=8)
    prepare, files = extractor.network.preprocessing, photographs()
    slow, fast = [prepare(decode(data)) for data in files], [network_input(data, prepare) for data in files]
    n = extractor.layers.n_neurons
    observed = counts(extractor, Binning(np.full(n, -1e3), np.full(n, 1e3)), slow)
    binning = Binning.from_observed(observed.minimum, observed.maximum, extractor.layers)
    by_pillow, by_torch, half, rest = (
        counts(extractor, binning, images).counts for images in (slow, fast, slow[::2], slow[1::2])
    )
    for layer, part in extractor.layers.slices.items():
        moved = emd_bins(by_pillow[part], by_torch[part]).mean() / binning.n_bins
        noise = emd_bins(half[part], rest[part]).mean() / binning.n_bins
        print(f"{name} {layer}: {moved:.1e} of the range; halves of the images {noise:.1e}")  # noqa: T201
        assert 0 < moved <= 1e-4 < 0.02 * noise
