"""The embedded extractor: its files belong together, its activations stay the same, and it needs no calibration."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from dna_pipelines.comparison import emd_bins
from dna_pipelines.distributions import Layer, Layers
from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.weight_files import built_in_weights, digest_of_files
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.extraction.networks.builtin import (
    MEASURED,
    TAPS,
    builtin,
    network_from,
    read_card,
    read_ranges,
    write_ranges,
)
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.identity import Item, digest_of
from dna_pipelines.manifests import Shard
from dna_pipelines_tests import toy
from dna_pipelines_tests.raising import raises

FOLDER = built_in_weights("builtin").parent
FILES = ("builtin.json", "builtin.safetensors", "builtin.ranges.safetensors")
IMAGES = {digest_of(data): data for data in map(toy.image_bytes, range(8))}

GOLDEN = {
    "stage1.inner": 0.535255,
    "stage1": 0.938553,
    "stage2.inner": 0.297017,
    "stage2": 1.980427,
    "stage3.inner": 0.272642,
    "stage3": 1.445585,
    "stage4.inner": 0.157113,
    "stage4": 1.099127,
    "stage5.inner": 0.190849,
    "stage5": 0.452244,
}
"""The mean activation of every layer over the eight images."""

GOLDEN_EMD_BINS = 11.8786
"""Between the four images with the smallest digests and the others."""


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("builtin", batch_size=8)


@pytest.fixture
def copied(tmp_path):
    for name in FILES:
        shutil.copy(FOLDER / name, tmp_path / name)
    return tmp_path


def partial_of(extractor, digests):
    shard = Shard(tuple(map(Item, digests)))
    ((_, partial),) = extract_partials(extractor, extractor.own_ranges, [shard], IMAGES.__getitem__, workers=1)
    return partial


def test_the_card_names_the_digests_of_the_files_and_no_file_is_large():
    card = read_card(FOLDER)
    for key in ("weights", "ranges"):
        path = FOLDER / card[key]["name"]
        assert digest_of_files([path]) == card[key]["sha256"]
    assert builtin().weights_digest == card["weights"]["sha256"]
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 4_000_000
    training = card["training"]
    assert training["steps_done"] == training["n_steps"]
    assert training["samples_seen"] == training["n_steps"] * training["batch"]


def test_it_sees_what_it_saw_when_it_was_made():
    extractor = load_extractor("builtin", batch_size=8, layers=tuple(GOLDEN))
    moments = partial_of(extractor, sorted(IMAGES)).moments
    means = {name: float(moments.mean[part].mean()) for name, part in extractor.layers.slices.items()}
    assert means == pytest.approx(GOLDEN, rel=1e-3)


@pytest.mark.parametrize("averaged", TAPS)
def test_its_layers_are_activations_averaged_over_squares_of_16_px(averaged):
    images, found = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)), {}
    extractor = load_extractor("builtin", batch_size=2, layers=MEASURED)
    extractor.run(images, lambda index, output: found.setdefault(extractor.layers.names[index], output.clone()))
    single = found[averaged.replace(".between", ".inner").replace(".after", "")]
    edge = single.shape[-1] // 6
    for row, column in np.ndindex(6, 6):
        square = single[:, :, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
        torch.testing.assert_close(found[averaged][:, :, row, column], square.mean((2, 3)))


def test_the_distance_of_two_sets_is_what_it_was(extractor):
    left, right = (partial_of(extractor, some).histogram.counts for some in np.split(np.array(sorted(IMAGES)), 2))
    assert float(emd_bins(left, right).mean()) == pytest.approx(GOLDEN_EMD_BINS, rel=1e-3)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_file_that_is_not_the_one_of_the_card_is_refused(copied, name):
    data = bytearray((copied / name).read_bytes())
    data[-1] ^= 1
    (copied / name).write_bytes(data)
    with raises(ExtractorError, "network.installation", file=str(copied / name)) as caught:
        network_from(copied)
    assert len(caught.value.facts["sha256"]) == 64


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_an_error(copied, name):
    (copied / name).unlink()
    with raises(ExtractorError, "network.installation", file=str(copied / name), sha256=None):
        network_from(copied)


def test_its_ranges_cover_all_its_neurons_and_survive_being_written(extractor, tmp_path):
    ranges = extractor.own_ranges
    assert ranges.layers == extractor.layers
    assert (extractor.layers.n_neurons, len(extractor.layers)) == (
        KNOWN["builtin"].n_neurons,
        KNOWN["builtin"].n_layers,
    )
    assert ranges.origin.startswith("builtin.ranges.safetensors (sha256 ")
    write_ranges(tmp_path / "r.safetensors", ranges)
    again = read_ranges(tmp_path / "r.safetensors")
    assert again.id == ranges.id
    assert again.layers == ranges.layers
    for name in ("minimum", "maximum", "centre"):
        assert (getattr(again, name) == getattr(ranges, name)).all()


def test_chosen_layers_keep_their_part_of_the_ranges(extractor):
    chosen = load_extractor("builtin", layers=("stage4.between", "stage2.between"))
    ranges = chosen.own_ranges
    for layer, part in chosen.layers.slices.items():
        whole = extractor.layers.slice_of(layer)
        assert (ranges.binning.lo[part] == extractor.own_ranges.binning.lo[whole]).all()
        assert (ranges.centre[part] == extractor.own_ranges.centre[whole]).all()
    # Single positions were measured too.
    assert load_extractor("builtin", layers=tuple(GOLDEN)).own_ranges
    # The convolutions before the activation can be tapped too, but their ranges are not measured.
    assert load_extractor("builtin", layers=("stage4.first",)).own_ranges is None


def test_layers_of_another_width_or_kind_have_no_ranges(extractor):
    ranges, (first, *_) = extractor.own_ranges, extractor.layers
    for other in (
        dataclasses.replace(first, n_neurons=3),
        dataclasses.replace(first, kind="projection"),
        Layer("x", 3),
    ):
        assert ranges.of(Layers((other,))) is None
