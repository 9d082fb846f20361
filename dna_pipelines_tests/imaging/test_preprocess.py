"""From pixels to what a network sees."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from dna_pipelines.imaging import Preprocessing

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def stripes(*colours, width=30, height=30):
    """An image of vertical stripes."""
    return np.concatenate([np.full((height, width, 3), colour, np.uint8) for colour in colours], axis=1)


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize("size", [(30, 30), (10, 77), (77, 10), (1, 1), (1, 40), (224, 225)])
def test_any_image_becomes_one_square_of_finite_floats(noise, fit, interpolation, size):
    found = Preprocessing(16, fit=fit, interpolation=interpolation)(noise(*size))
    assert found.shape == (3, 16, 16)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.isfinite(found).all()


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (12, 130, 250)])
def test_a_constant_image_is_normalised_in_closed_form(fit, colour):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = Preprocessing(8, fit=fit)(np.full((20, 31, 3), colour, np.uint8))
    expected = [(value / 255 - m) / s for value, m, s in zip(colour, mean, std, strict=True)]
    np.testing.assert_allclose(found, np.broadcast_to(np.reshape(expected, (3, 1, 1)), (3, 8, 8)), rtol=1e-5, atol=1e-6)


def test_an_image_of_the_right_size_is_only_scaled_and_transposed(noise):
    found = Preprocessing(20, **PLAIN)(noise(20, 20))
    np.testing.assert_allclose(found, noise(20, 20).transpose(2, 0, 1) / 255, atol=1e-6)


def test_squash_keeps_everything_and_crop_the_centre():
    wide = stripes(RED, GREEN, BLUE)
    squashed = Preprocessing(30, fit="squash", interpolation="box", **PLAIN)(wide)
    cropped = Preprocessing(30, fit="crop", interpolation="box", **PLAIN)(wide)
    np.testing.assert_allclose(squashed.mean(axis=(1, 2)), [1 / 3] * 3, atol=0.01)
    np.testing.assert_allclose(cropped.mean(axis=(1, 2)), [0, 1, 0], atol=0.01)


def test_crop_keeps_the_centre_of_a_tall_image_too():
    tall = stripes(RED, GREEN, BLUE).transpose(1, 0, 2)
    cropped = Preprocessing(30, fit="crop", interpolation="box", **PLAIN)(np.ascontiguousarray(tall))
    np.testing.assert_allclose(cropped.mean(axis=(1, 2)), [0, 1, 0], atol=0.01)


def test_the_crop_share_is_what_is_left_of_the_short_edge():
    """A square with a border of one quarter: half of each edge is inside."""
    image = np.zeros((80, 80, 3), np.uint8)
    image[20:60, 20:60] = 255
    inside = Preprocessing(40, fit="crop", crop_share=0.5, interpolation="box", **PLAIN)(image)
    whole = Preprocessing(40, fit="crop", crop_share=1.0, interpolation="box", **PLAIN)(image)
    assert inside.min() == 1
    np.testing.assert_allclose(whole.mean(), 0.25, atol=0.01)


@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_the_same_pixels_give_the_same_floats_and_are_left_alone(noise, fit):
    pixels = noise(33, 47)
    step = Preprocessing(24, fit=fit)
    first = step(pixels)
    assert step(pixels.copy()).tobytes() == first.tobytes()
    np.testing.assert_array_equal(pixels, noise(33, 47))


@pytest.mark.parametrize(
    "other",
    [
        {"size_px": 9},
        {"fit": "crop"},
        {"interpolation": "box"},
        {"mean": (0.0, 0.0, 0.0)},
        {"std": (1.0, 1.0, 1.0)},
        {"crop_share": 0.9},
    ],
)
def test_whatever_changes_what_a_network_sees_changes_the_key(other):
    assert Preprocessing(**{"size_px": 8, **other}).key() != Preprocessing(8).key()


def test_a_long_thin_image_is_cropped_without_memory_for_all_of_it():
    code = (
        "import numpy as np; from dna_pipelines.imaging import Preprocessing; "
        "print(Preprocessing(224, fit='crop')(np.full((30000, 1, 3), 9, np.uint8)).shape)"
    )
    limit = 2**30

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "(3, 224, 224)", done.stderr[-300:]
