"""The scattering network: each neuron responds to what its name says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.files.catalogue import KNOWN
from dna_pipelines.extraction.files.scattering_bands import COLOURS, N_OCTAVES, ORIENTATIONS, Band, bands
from dna_pipelines.extraction.loading.registry import load_extractor, with_layers
from dna_pipelines.extraction.networks import scattering as rooms
from dna_pipelines.extraction.networks.scattering import CENTRE, FLOOR, SIZE_PX, scattering
from dna_pipelines.extraction.probing.probe import probe_layers
from dna_pipelines.extraction.taps import Taps
from dna_pipelines_tests.raising import raises

WAVES = {"vertical": (1, 0), "rising": (1, 1), "horizontal": (0, 1), "falling": (-1, 1)}
"""Directions (right, down) along which edges of each orientation alternate."""

OPPONENT = {
    "luminance": np.array([1, 1, 1]) / 3**0.5,
    "blue-yellow": np.array([-1, -1, 2]) / 6**0.5,
    "red-green": np.array([1, -1, 0]) / 2**0.5,
}


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("scattering", batch_size=8)


def answers(extractor, images):
    """By layer, (n, n_neurons, 6, 6)."""
    found = {}
    batch = torch.from_numpy(np.asarray(images, np.float32))
    with reproducible():
        extractor.run(batch, lambda index, output: found.update({extractor.layers.names[index]: output.clone()}))
    return found


def by_names(extractor, images):
    """For every image, the averages of all neurons by their names."""
    found = answers(extractor, images)
    names = [name for layer in extractor.layers.names for name in extractor.neuron_names[layer]]
    rows = torch.cat([found[layer].mean((2, 3)) for layer in extractor.layers.names], 1).tolist()
    return [dict(zip(names, row, strict=True)) for row in rows]


def by_name(extractor, image):
    return by_names(extractor, image[None])[0]


def first_order(found):
    return {name: value for name, value in found.items() if len(Band.parse(name).path) == 1}


def wave(orientation, octave, colour, amplitude=0.1):
    """A grey image with a plane wave of a wavelet's own frequency in one colour."""
    down, right = np.mgrid[:SIZE_PX, :SIZE_PX]
    along = np.array(WAVES[orientation]) / np.hypot(*WAVES[orientation])
    phase = CENTRE / 2**octave * (along[0] * right + along[1] * down)
    return 0.5 + amplitude * OPPONENT[colour][:, None, None] * np.cos(phase)


def texture(seed=3):
    """Something with edges of all directions and sizes, (3, 96, 96) from 0 to 1."""
    rng = np.random.default_rng(seed)
    image = np.zeros((3, SIZE_PX, SIZE_PX))
    for size in (6, 12, 24, 48, 96):
        patches = rng.uniform(0, 0.2, (3, size, size))
        image += np.kron(patches, np.ones((SIZE_PX // size, SIZE_PX // size)))
    image[:, np.tri(SIZE_PX, dtype=bool)] += 0.1
    return image.clip(0, 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_wave_is_answered_most_by_the_neuron_that_is_called_so(extractor, colour):
    bands_of = [(orientation, octave) for orientation in ORIENTATIONS for octave in range(N_OCTAVES)]
    images = [wave(*band, colour) for band in bands_of]
    for (orientation, octave), found in zip(bands_of, by_names(extractor, images), strict=True):
        first = first_order(found)
        assert max(first, key=first.get) == f"{colour} octave{octave} {orientation}"
        assert max(value for name, value in first.items() if not name.startswith(colour)) < 1e-3


def test_a_wave_is_answered_with_its_amplitude(extractor):
    for amplitude in (0.05, 0.1, 0.2):
        for octave in range(3):
            found = by_name(extractor, wave("vertical", octave, "luminance", amplitude))
            answer = (2 ** found[f"luminance octave{octave} vertical"] - 1) * FLOOR
            # Mirroring bends the wave at two borders.
            assert answer == pytest.approx(amplitude, rel=0.06)


def test_a_stripe_that_rises_is_called_rising(extractor):
    down, right = np.mgrid[:SIZE_PX, :SIZE_PX]
    image = np.repeat(np.where((down + right) % 8 < 4, 0.3, 0.7)[None], 3, axis=0)
    found = by_name(extractor, image)
    assert found["luminance octave1 rising"] > found["luminance octave1 falling"] + 2


def test_a_second_wavelet_sees_how_the_answers_to_the_first_come_and_go(extractor):
    down, right = np.mgrid[:SIZE_PX, :SIZE_PX]
    # Fine upright stripes that come and go from top to bottom.
    fading = 0.5 + 0.5 * np.cos(CENTRE / 8 * down)
    image = np.repeat((0.5 + 0.2 * fading * np.cos(CENTRE * right))[None], 3, axis=0)
    found = by_name(extractor, image)
    second = {name: value for name, value in found.items() if name.startswith("luminance octave0 vertical octave")}
    assert max(second, key=second.get) == "luminance octave0 vertical octave3 horizontal"
    fainter = by_name(extractor, 0.5 + (image - 0.5) / 2)
    for name, value in second.items():
        # A share, which does not change with the amplitude.
        assert fainter[name] == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_image_is_nothing_to_wavelets(extractor, level):
    found = answers(extractor, np.full((1, 3, SIZE_PX, SIZE_PX), level))
    for layer, values in found.items():
        if layer != "lowpass":
            assert values.abs().max() < 2e-3
    assert found["lowpass"][0, 0].numpy() == pytest.approx(level * 3**0.5, abs=1e-5)
    assert found["lowpass"][0, 1:].abs().max() < 1e-6


def test_turning_an_image_turns_the_answers_and_swaps_the_orientations(extractor):
    image = texture()
    turned = np.rot90(image, axes=(1, 2)).copy()
    before, after = answers(extractor, image[None]), answers(extractor, turned[None])
    swapped = dict(zip(ORIENTATIONS, (*ORIENTATIONS[2:], *ORIENTATIONS[:2]), strict=True))
    for layer, some in bands().items():
        moved = [Band(band.colour, tuple((octave, swapped[o]) for octave, o in band.path)) for band in some]
        expected = torch.rot90(before[layer], 1, (2, 3))[:, [some.index(band) for band in moved]]
        assert torch.allclose(after[layer], expected, atol=2e-3 if layer.startswith("order1") else 1e-3), layer


def test_moving_an_image_changes_its_averages_little(extractor):
    large = np.kron(np.random.default_rng(0).uniform(0.1, 0.9, (3, 30, 30)), np.ones((4, 4)))
    here, there = large[:, 8:104, 8:104], large[:, 10:106, 9:105]
    a, b = map(first_order, by_names(extractor, np.stack([here, there])))
    assert np.abs(here - there).mean() > 0.1
    moved = [abs(a[name] - b[name]) for name in a]
    assert max(moved) < np.log2(1.1)
    assert np.mean(moved) < np.log2(1.03)


def test_the_thinned_grids_lose_next_to_nothing(extractor):
    """Held to convolutions of the whole mirrored image, sampled nowhere, averaged at every pixel."""
    image = texture()
    found = answers(extractor, image[None])
    mirrored = np.pad(np.einsum("cr,rhw->chw", np.stack([OPPONENT[c] for c in COLOURS]), image), _margins(), "reflect")
    weights = rooms.averages(rooms.GRID_PX)
    for octave in range(N_OCTAVES):
        convolved = np.fft.ifft2(np.fft.fft2(mirrored)[:, None] * rooms.morlet(rooms.GRID_PX, octave))
        averaged = weights @ np.abs(convolved) @ weights.T
        expected = np.log2(1 + averaged.reshape(-1, 6, 6) / FLOOR)
        errors = np.abs(found[f"order1.octave{octave}"][0].numpy() - expected)
        assert errors.max() < (1e-4 if octave == 0 else np.log2(1.06))
        assert errors.mean() < np.log2(1.01)


def _margins():
    return (0, 0), (rooms.MARGIN_PX,) * 2, (rooms.MARGIN_PX,) * 2


def test_an_image_gives_the_same_bits_in_any_batch(extractor):
    images = np.stack([texture(seed) for seed in range(7)])
    alone, among = answers(extractor, images[3:4]), answers(extractor, images)
    for layer in extractor.layers.names:
        assert torch.equal(alone[layer][0], among[layer][3])


def test_golden_numbers(extractor):
    found = by_name(extractor, texture())
    golden = {
        "luminance low-pass": 0.94977,
        "red-green low-pass": -0.00821,
        "luminance octave0 vertical": 3.84637,
        "luminance octave0 falling": 3.82218,
        "luminance octave3 rising": 3.33908,
        "blue-yellow octave1 horizontal": 3.71436,
        "red-green octave2 vertical": 3.57680,
        "luminance octave0 vertical octave1 vertical": 0.32251,
        "luminance octave1 rising octave3 horizontal": 0.13077,
        "luminance octave2 falling octave3 falling": 0.29737,
    }
    for name, value in golden.items():
        assert found[name] == pytest.approx(value, abs=2e-4), name


def test_the_catalogue_agrees_with_probing(extractor):
    known = KNOWN["scattering"]
    found = (len(extractor.layers), extractor.layers.n_neurons, extractor.network.preprocessing.size_px)
    assert (known.n_layers, known.n_neurons, known.input_px) == found


def test_every_neuron_has_a_name_of_its_own_that_can_be_read_back(extractor):
    names = extractor.neuron_names
    assert {layer: len(some) for layer, some in names.items()} == {
        layer.name: layer.n_neurons for layer in extractor.layers
    }
    each = [name for some in names.values() for name in some]
    assert len(set(each)) == extractor.layers.n_neurons
    assert all(Band.parse(name).name == name for name in each)
    assert Band.parse("neuron 7") is None


def test_chosen_layers_keep_their_names():
    network = with_layers(scattering(), ("order1.*",))
    probed = probe_layers(network)
    taps = Taps(network.module, network.taps)
    chosen = Extractor(network, taps, probed.layers, probed.axes, probed.positions)
    assert list(chosen.neuron_names) == chosen.layers.names == [f"order1.octave{octave}" for octave in range(4)]


def test_names_are_in_no_key(extractor):
    renamed = replace(extractor, network=replace(extractor.network, neuron_names={"lowpass": ("grey", "blue", "red")}))
    assert renamed.neuron_names != extractor.neuron_names
    assert renamed.fingerprint == extractor.fingerprint


def test_too_few_neuron_names_are_refused():
    few = replace(scattering(), neuron_names={"lowpass": ("only one",)})
    with raises(ExtractorError, "network.neuron-names", layer="lowpass", n_neurons=3, n_names=1):
        probe_layers(few)
