"""Preprocessing translated from other libraries, compared with their own processors."""

import json
from importlib import import_module

import numpy as np
import pytest

from dna_pipelines.errors import ExtractorError
from dna_pipelines.extraction.files.processors import from_timm, from_transformers
from dna_pipelines_tests.raising import raises

SIZES = [(40, 60), (61, 40), (33, 33), (97, 40), (20, 23)]


def noise(height, width):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def processor(module, name, settings):
    """One of transformers' processors that work with Pillow and NumPy alone."""
    return getattr(import_module(f"transformers.models.{module}.image_processing_pil_{module}"), name)(**settings)


@pytest.mark.parametrize(
    ("module", "name", "settings"),
    [
        ("vit", "ViTImageProcessorPil", {"size": {"height": 32, "width": 32}}),
        ("vit", "ViTImageProcessorPil", {"size": {"height": 32, "width": 32}, "resample": 3, "do_normalize": False}),
        ("vit", "ViTImageProcessorPil", {"size": {"height": 24, "width": 24}, "do_rescale": False, "image_mean": [90.0, 100, 110], "image_std": [50.0, 60, 70]}),
        ("vit", "ViTImageProcessorPil", {"size": {"height": 24, "width": 24}, "rescale_factor": 1 / 127.5, "image_mean": [1.0, 1, 1]}),
        ("clip", "CLIPImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
        ("clip", "CLIPImageProcessorPil", {"size": {"shortest_edge": 37}, "crop_size": {"height": 30, "width": 30}}),
        ("bit", "BitImageProcessorPil", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}),
        ("siglip", "SiglipImageProcessorPil", {"size": {"height": 28, "width": 28}}),
        ("deit", "DeiTImageProcessorPil", {"size": {"height": 36, "width": 36}, "crop_size": {"height": 31, "width": 31}}),
        ("beit", "BeitImageProcessorPil", {"size": {"height": 36, "width": 36}, "do_center_crop": False}),
        ("convnext", "ConvNextImageProcessorPil", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
        ("convnext", "ConvNextImageProcessorPil", {"size": {"shortest_edge": 384}}),
    ],
)  # fmt: skip
def test_images_are_prepared_as_their_own_processors_do(tmp_path, module, name, settings):
    theirs = processor(module, name, settings)
    theirs.save_pretrained(tmp_path)
    ours = from_transformers(json.loads((tmp_path / "preprocessor_config.json").read_text()), "n")
    for size in SIZES:
        pixels = noise(*size)
        expected = theirs(pixels, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(ours(pixels), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("module", "name", "type_name"),
    [
        ("vit", "ViTImageProcessorPil", "ViTFeatureExtractor"),
        ("clip", "CLIPImageProcessorPil", "CLIPImageProcessor"),
        ("bit", "BitImageProcessorPil", "BitImageProcessor"),
        ("siglip", "SiglipImageProcessorPil", "SiglipImageProcessorFast"),
        ("deit", "DeiTImageProcessorPil", "DeiTImageProcessor"),
        ("beit", "BeitImageProcessorPil", "BeitImageProcessor"),
        ("convnext", "ConvNextImageProcessorPil", "ConvNextImageProcessor"),
    ],
)
def test_what_a_file_leaves_out_is_what_the_processor_does_by_default(module, name, type_name):
    pixels = noise(150, 120)
    key = "feature_extractor_type" if type_name.endswith("Extractor") else "image_processor_type"
    expected = processor(module, name, {})(pixels, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(from_transformers({key: type_name}, "n")(pixels), expected, rtol=1e-5, atol=2e-6)


def test_null_is_the_kinds_default_and_no_in_a_switch():
    clip, off = {"image_processor_type": "CLIPImageProcessor"}, {"do_normalize": None, "do_rescale": None}
    nothing = dict.fromkeys(["size", "crop_size", "resample", "image_mean", "image_std"])
    assert from_transformers(clip | nothing, "n") == from_transformers(clip, "n")
    pixels = noise(150, 120)
    expected = processor("clip", "CLIPImageProcessorPil", off)(pixels, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(from_transformers(clip | off, "n")(pixels), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("size", "kind", "fit"),
    [(30, "ViT", "squash"), ([30, 30], "ViT", "squash"), (30, "CLIP", "crop")],
)
def test_sizes_of_old_files_are_understood(size, kind, fit):
    found = from_transformers({"image_processor_type": f"{kind}ImageProcessor", "size": size, "crop_size": 30}, "n")
    assert (found.size_px, found.fit, found.crop_share) == (30, fit, 1.0)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"image_processor_type": "GLPNImageProcessor"}, "image_processor_type"),
        ({}, "image_processor_type"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order"),
        ({"do_pad": True}, "do_pad"),
        ({"rescale_offset": True}, "rescale_offset"),
        ({"do_resize": False}, "do_resize"),
        ({"size": {"height": 20, "width": 30}}, "size"),
        ({"size": {"shortest_edge": 30}}, "size"),
        ({"size": {"longest_edge": 30}}, "size"),
        ({"size": {"height": 20, "width": 20}, "do_center_crop": True, "crop_size": 30}, "crop_size"),
    ],
)
def test_what_cannot_be_done_exactly_is_refused(settings, refused):
    base = {"image_processor_type": "ViTImageProcessor"} if settings and "image_processor_type" not in settings else {}
    with raises(ExtractorError, "network.preprocessing-unsupported", setting=refused, where="n"):
        from_transformers(base | settings, "n")


def test_an_unknown_processor_is_refused_with_those_that_are_known():
    with raises(ExtractorError, "network.preprocessing-unsupported", value="GLPNImageProcessor") as caught:
        from_transformers({"image_processor_type": "GLPNImageProcessor"}, "n")
    assert caught.value.facts["supported"][:2] == ["Beit", "Bit"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("resample", 0),
        ("resample", "bicubic"),
        ("image_std", [0, 0, 0]),
        ("image_std", [0.5, 0.5, float("inf")]),
        ("image_std", [0.5, -0.5, 0.5]),
        ("image_mean", [0.5]),
        ("image_mean", ["a", "b", "c"]),
        ("image_mean", float("nan")),
        ("image_mean", 10**400),
        ("size", "big"),
        ("size", True),
        ("size", [20]),
        ("size", {}),
        ("size", {"height": 20.5, "width": 20.5}),
        ("size", {"height": -20, "width": -20}),
        ("crop_size", "all"),
        ("do_center_crop", "no"),
        ("rescale_factor", 0),
        ("rescale_factor", "1/255"),
        ("crop_pct", 0),
    ],
)
def test_a_value_without_a_meaning_is_refused(setting, value):
    base = {"image_processor_type": "ViTImageProcessor", "do_center_crop": True, "crop_size": 20}
    if setting == "crop_pct":
        base = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}}
    with raises(ExtractorError, "network.preprocessing-invalid", setting=setting, where="n") as caught:
        from_transformers(base | {setting: value}, "n")
    assert caught.value.facts["value"] is value


TIMM = {"input_size": (3, 224, 224), "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bicubic"}


@pytest.mark.parametrize(
    ("more", "fit", "edge"),
    [
        ({"crop_pct": 0.875}, "crop", 256),
        ({"crop_pct": 0.9}, "crop", 248),
        ({"crop_pct": 1.0, "crop_mode": "squash"}, "squash", 224),
        ({"crop_pct": 0.9, "test_crop_pct": 0.95}, "crop", 235),
    ],
)
def test_timm_resizes_to_the_whole_pixel_below_and_crops(more, fit, edge):
    found = from_timm(TIMM | more, "n")
    assert (found.fit, found.size_px, round(found.size_px / found.crop_share)) == (fit, 224, edge)
    assert (found.mean, found.std) == (TIMM["mean"], TIMM["std"])


def test_timm_tests_some_networks_on_larger_images():
    assert from_timm(TIMM | {"test_input_size": (3, 288, 288)}, "n").size_px == 288


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("input_size", (1, 224, 224)),
        ("input_size", (3, 224, 256)),
        ("interpolation", "random"),
        ("crop_mode", "border"),
    ],
)
def test_what_timm_does_otherwise_is_refused(setting, value):
    with raises(ExtractorError, "network.preprocessing-unsupported", setting=setting) as caught:
        from_timm(TIMM | {setting: value}, "n")
    assert caught.value.facts["value"] in (value, list(value))
