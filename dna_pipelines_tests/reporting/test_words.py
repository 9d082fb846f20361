"""The words for a change: the right one for known changes, and none where nothing is known."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from dna_pipelines.comparison import compare
from dna_pipelines.distributions import Binning, Layer, Layers, Moments
from dna_pipelines.distributions.fold import Fold
from dna_pipelines.dna import ImportedDna
from dna_pipelines.extraction.devices.numerics import reproducible
from dna_pipelines.extraction.files.scattering_bands import COLOURS, ORIENTATIONS, bands, names_of
from dna_pipelines.extraction.loading.registry import load_extractor
from dna_pipelines.identity import Key
from dna_pipelines.reporting.words import explain, findings, leaders

NAMES = {layer: names_of(some) for layer, some in bands().items()}
LAYERS = Layers(tuple(Layer(layer, len(some)) for layer, some in NAMES.items()))
PLACE = {name: index for index, name in enumerate(name for some in NAMES.values() for name in some)}
N_IMAGES = 40

# Changes of means that are one thing each.


def shifted(changes, n_images=N_IMAGES):
    """Images whose neurons vary by 0.1 around 3, but for changes of means by name."""
    mean = np.full(LAYERS.n_neurons, 3.0)
    for name, change in changes.items():
        mean[PLACE[name]] += change
    n = np.full(LAYERS.n_neurons, n_images, np.uint64)
    return Moments(n, mean, np.full(LAYERS.n_neurons, 0.01 * (n_images - 1)))


def moments(n_images=N_IMAGES):
    return shifted({}, n_images)


def first_order(octave, change, colours=COLOURS):
    return {f"{colour} octave{octave} {orientation}": change for colour in colours for orientation in ORIENTATIONS}


EVERY_OCTAVE = {name: -1.0 for octave in range(4) for name in first_order(octave, 0)}
COLOURS_PALER = {name: -0.5 for octave in range(4) for name in first_order(octave, 0, COLOURS[1:])}
WIDE = [
    name
    for name in PLACE
    if name.count("octave") == 2 and name[len("luminance octave")] == "0" and "octave1" not in name
]
CASES = [
    ({"luminance low-pass": 0.2}, "brightness", ["+29"]),
    ({"luminance low-pass": -0.2}, "brightness", ["-29"]),
    ({"blue-yellow low-pass": 0.1}, "colour", ["+26", "+0"]),
    (EVERY_OCTAVE, "contrast", ["luminance ×0.5"]),
    (COLOURS_PALER, "saturation", ["colours ×0.71", "luminance ×1"]),
    (first_order(0, -1.0), "blur", ["luminance ×0.5", "colours ×0.5"]),
    (first_order(0, 1.0), "sharper", ["luminance ×2", "colours ×2"]),
    ({**first_order(0, 1.0), **dict.fromkeys(WIDE, -0.1)}, "noise", ["luminance ×2", "colours ×2"]),
    (
        {**first_order(0, 0.5, COLOURS[:1]), **first_order(0, 2.0, COLOURS[1:])},
        "noise",
        ["luminance ×1.4", "colours ×4"],
    ),
    (first_order(0, -1.0, COLOURS[1:]), "compression", ["luminance ×1", "colours ×0.5"]),
]


@pytest.mark.parametrize(("changes", "kind", "figures"), CASES, ids=[f"{kind}-{shown[0]}" for _, kind, shown in CASES])
def test_one_change_is_one_finding(changes, kind, figures):
    found = findings(moments(), shifted(changes), LAYERS, NAMES)
    assert [one.kind for one in found] == [kind]
    assert re.findall(r"\w+ ×[\d.]+|[+-]\d+", found[0].text) == figures
    assert found[0].strength >= 1


def test_the_orientation_with_more_edges_is_named_first():
    (found,) = findings(
        moments(), shifted({f"luminance octave{octave} rising": 0.4 for octave in range(3)}), LAYERS, NAMES
    )
    assert found.kind == "orientation"
    assert next(word for word in found.text.split() if word in ORIENTATIONS) == "rising"


def test_no_change_has_no_finding():
    assert findings(moments(), moments(), LAYERS, NAMES) == []


def test_changes_that_few_images_cannot_show_are_no_findings():
    change = {"luminance low-pass": 0.05}
    assert findings(moments(n_images=3), shifted(change, 3), LAYERS, NAMES) == []
    assert findings(moments(n_images=300), shifted(change, 300), LAYERS, NAMES)


def test_small_changes_are_no_findings_however_many_images_show_them():
    assert findings(moments(n_images=10**6), shifted({"luminance low-pass": 0.01}, 10**6), LAYERS, NAMES) == []


def test_a_single_image_has_no_findings():
    assert findings(moments(n_images=1), shifted({"luminance low-pass": 1.0}, 1), LAYERS, NAMES) == []


def test_names_decide_and_not_places():
    order = np.random.default_rng(0).permutation(LAYERS.n_neurons)
    names = list(PLACE)
    changed = shifted(first_order(0, -1.0))
    one = Layers((Layer("all", LAYERS.n_neurons),))
    shuffled = [Moments(m.n_images, m.mean[order], m.m2[order]) for m in (moments(), changed)]
    found = findings(*shuffled, one, {"all": [names[index] for index in order]})
    assert found == findings(moments(), changed, LAYERS, NAMES)


@pytest.mark.parametrize(
    "names", [{}, {"lowpass": NAMES["lowpass"]}, {layer: ["x"] * len(some) for layer, some in NAMES.items()}]
)
def test_without_the_names_of_all_wavelets_there_are_no_findings(names):
    assert findings(moments(), shifted(first_order(0, -1.0)), LAYERS, names) == []


# Images that were changed in one way each.


@pytest.fixture(scope="module")
def extractor():
    return load_extractor("scattering", batch_size=8)


def leaves(seed):
    """An image of overlapping coloured squares of all sizes, (96, 96, 3) levels: edges as photographs have them."""
    rng = np.random.default_rng(seed)
    pixels = np.full((96, 96, 3), 110.0)
    for size in np.sort(rng.pareto(1.5, 150) * 4 + 3)[::-1]:
        top, left = rng.integers(-10, 96, 2)
        grey, colour = rng.uniform(60, 170), rng.uniform(-25, 25, 3)
        pixels[max(top, 0) : max(top + int(size), 0), max(left, 0) : max(left + int(size), 0)] = grey + colour
    return pixels.clip(0, 255).astype(np.uint8)


def levels(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def blurred(pixels, sigma):
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def grey_of(pixels):
    return pixels.mean(axis=2, keepdims=True)


CORRUPTIONS = {
    "blur": lambda p, rng: blurred(p, 1.5),
    "sharper": lambda p, rng: levels(p + 1.5 * (p - blurred(p, 1.5).astype(float))),
    "noise": lambda p, rng: levels(p + rng.normal(0, 12, p.shape)),
    "brightness": lambda p, rng: levels(p + 30.0),
    "contrast": lambda p, rng: levels(110 + (p - 110.0) * 0.4),
    "saturation": lambda p, rng: levels(grey_of(p) + (p - grey_of(p)) * 0.3),
    "colour": lambda p, rng: levels(p + np.array([-25.0, 0.0, 25.0])),
}


def dna(extractor, images, label):
    batch = torch.from_numpy(np.stack(images).astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()
    n, layers = len(images), extractor.layers
    # Wide enough for whatever comes out, and the same for all.
    binning = Binning(np.full(layers.n_neurons, -2.0), np.full(layers.n_neurons, 10.0))
    fold, pooled = Fold(binning, np.zeros(n, int)), np.empty((n, layers.n_neurons))

    def sink(index, output):
        part = layers.slices[layers.names[index]]
        fold.add(part, output.flatten(2).contiguous().numpy(), slice(0, n), pooled[:, part])

    with reproducible():
        extractor.run(batch, sink)
    key = Key({"extractor": "scattering", "layers": layers.key(), "ranges": "r"})
    return ImportedDna(key, layers, n, fold.histogram().counts, Moments.of(pooled, layers), label)


@pytest.fixture(scope="module")
def clean(extractor):
    return dna(extractor, [leaves(seed) for seed in range(30)], "clean")


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_of_other_images_is_called_by_its_name(extractor, clean, kind):
    rng = np.random.default_rng(0)
    changed = dna(extractor, [CORRUPTIONS[kind](leaves(seed), rng) for seed in range(100, 130)], kind)
    found = findings(clean.moments, changed.moments, extractor.layers, extractor.neuron_names)
    assert found[0].kind == kind
    assert explain(compare(clean, changed), extractor.neuron_names)[0] == found[0].text


def test_other_images_of_the_same_kind_are_nothing_to_talk_about(extractor, clean):
    others = dna(extractor, [leaves(seed) for seed in range(100, 130)], "others")
    assert explain(compare(clean, others), extractor.neuron_names) == []


@pytest.fixture(scope="module")
def noisy(extractor):
    rng = np.random.default_rng(0)
    return dna(extractor, [CORRUPTIONS["noise"](leaves(seed), rng) for seed in range(30)], "noisy")


def test_neurons_that_lead_a_change_are_named_with_direction_and_factor(extractor, clean, noisy):
    found = leaders(compare(clean, noisy), extractor.neuron_names)
    assert len(found) == 5
    assert all("octave0" in leader.name and leader.layer == "order1.octave0" for leader in found)
    assert [leader.emd_bins for leader in found] == sorted((leader.emd_bins for leader in found), reverse=True)
    first = found[0]
    # One bin is 0.012, and the mean moved as far as the mass.
    assert first.factor == pytest.approx(2 ** (first.shift_bins * 0.012), rel=0.01)
    assert first.shift_bins == pytest.approx(first.emd_bins, rel=1e-6)
    assert first.direction == "more"
    assert first.text.startswith(f"{first.name}: ")
    assert f"×{first.factor:.2g}" in first.text
    back = leaders(compare(noisy, clean), extractor.neuron_names)[0]
    assert (back.name, back.shift_bins) == (first.name, -first.shift_bins)
    assert back.direction == "less"


def test_without_names_the_numbers_of_neurons_lead_a_change(clean, noisy):
    first = leaders(compare(clean, noisy), {}, 1)[0]
    assert (first.name, first.factor) == ("", None)
    assert first.text.startswith(f"order1.octave0:{first.neuron}: ")
    assert "×" not in first.text
    assert explain(compare(clean, noisy), {}) == []


def test_virtual_neurons_do_not_lead(clean, noisy):
    virtual = Layers(
        tuple(replace(layer, kind="projection" if "octave0" in layer.name else "neuron") for layer in clean.layers)
    )
    a, b = (replace(one, layers=virtual) for one in (clean, noisy))
    assert all("octave0" not in leader.layer for leader in leaders(compare(a, b), {}))


def test_what_did_not_change_has_no_leaders(clean):
    assert leaders(compare(clean, clean), {}) == []


def test_without_histograms_there_are_no_leaders_and_without_moments_no_words(extractor, clean, noisy):
    gaussian = [replace(one, counts=None) for one in (clean, noisy)]
    assert leaders(compare(*gaussian), extractor.neuron_names) == []
    changes = findings(clean.moments, noisy.moments, clean.layers, extractor.neuron_names)
    assert changes[0].kind == "noise"
    assert explain(compare(*gaussian), extractor.neuron_names) == [change.text for change in changes]
    counted = [replace(one, moments=None) for one in (clean, noisy)]
    assert explain(compare(*counted), extractor.neuron_names) == []
    assert leaders(compare(*counted), extractor.neuron_names)[0].factor is None


def test_many_changes_at_once_come_after_a_line_that_explains_them():
    a, b = moments(), shifted({**first_order(0, -1.0), "luminance low-pass": 0.3, "red-green low-pass": 0.3})
    key = Key({"extractor": "scattering", "layers": LAYERS.key()})
    left, right = (ImportedDna(key, LAYERS, N_IMAGES, None, one, "x") for one in (a, b))
    changes = findings(a, b, LAYERS, NAMES)
    assert len({change.kind for change in changes}) == 3
    lines = explain(compare(left, right), NAMES)
    assert lines[1:] == [change.text for change in changes]
