"""From pixels to what a network sees."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from dna_pipelines.errors import ExtractorError
from dna_pipelines.imaging import Preprocessing
from dna_pipelines_tests.raising import raises

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def stripes(*colours, width=30, height=30):
    """An image of vertical stripes."""
    return np.concatenate([np.full((height, width, 3), colour, np.uint8) for colour in colours], axis=1)


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize("size", [(30, 30), (10, 77), (77, 10), (1, 1), (1, 40), (224, 225)])
def test_any_image_becomes_one_square_of_finite_floats(noise, fit, interpolation, size):
    inputs = Preprocessing(16, fit=fit, interpolation=interpolation)(noise(*size))
    assert inputs.shape == (3, 16, 16)
    assert inputs.dtype == np.float32
    assert inputs.flags.c_contiguous
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("std", (0.5, 0.0, 0.5)),
        ("std", (0.5, 0.5, float("nan"))),
        ("mean", (float("inf"), 0.0, 0.0)),
        ("mean", (0.5,)),
    ],
)
def test_a_normalisation_that_makes_every_image_the_same_is_refused(name, colour):
    with raises(ExtractorError, "network.preprocessing-value", setting=name):
        Preprocessing(8, **{name: colour})


@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (12, 130, 250)])
def test_a_constant_image_is_normalised_in_closed_form(fit, colour):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    inputs = Preprocessing(8, fit=fit)(np.full((20, 31, 3), colour, np.uint8))
    expected = [(value / 255 - m) / s for value, m, s in zip(colour, mean, std, strict=True)]
    np.testing.assert_allclose(
        inputs, np.broadcast_to(np.reshape(expected, (3, 1, 1)), (3, 8, 8)), rtol=1e-5, atol=1e-6
    )


def test_an_image_of_the_right_size_is_only_scaled_and_transposed(noise):
    inputs = Preprocessing(20, **PLAIN)(noise(20, 20))
    np.testing.assert_allclose(inputs, noise(20, 20).transpose(2, 0, 1) / 255, atol=1e-6)


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
        {"resized_as": "float32"},
    ],
)
def test_whatever_changes_what_a_network_sees_changes_the_key(other):
    assert Preprocessing(**{"size_px": 8, **other}).key() != Preprocessing(8).key()


def bicubic(distance):
    """Keys' kernel with a = -1/2."""
    x = abs(distance)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def bilinear(distance):
    return max(0.0, 1 - abs(distance))


def slow_weights(n_in, n_out, kernel, reach):
    """Row i: what output i takes of every input. The kernel is as wide as an output pixel, or as an input pixel."""
    scale = n_in / n_out
    stretch = max(scale, 1.0)
    weights = np.zeros((n_out, n_in))
    for i in range(n_out):
        for j in range(n_in):
            distance = (j + 0.5) - (i + 0.5) * scale
            if abs(distance) < reach * stretch:
                weights[i, j] = kernel(distance / stretch)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("interpolation", "kernel", "reach"), [("bicubic", bicubic, 2), ("bilinear", bilinear, 1)])
@pytest.mark.parametrize("size", [(40, 31), (9, 50), (5, 7)])
def test_resizing_in_floats_is_the_sum_of_kernels(noise, interpolation, kernel, reach, size):
    image = noise(*size)
    rows, columns = (slow_weights(edge, 16, kernel, reach) for edge in size)
    expected = np.clip(np.einsum("yr,rkc,xk->cyx", rows, image.astype(float), columns), 0, 255) / 255
    inputs = Preprocessing(16, interpolation=interpolation, resized_as="float32", **PLAIN)(image)
    np.testing.assert_allclose(inputs, expected, atol=2e-5)


def test_resizing_in_floats_keeps_what_whole_levels_lose():
    """A ramp from one level to the next."""
    image = np.repeat(np.array([[10] * 8 + [11] * 8], np.uint8), 16, axis=0)[..., None].repeat(3, axis=2)
    floats = Preprocessing(4, interpolation="bilinear", resized_as="float32", **PLAIN)(image) * 255
    levels = Preprocessing(4, interpolation="bilinear", **PLAIN)(image) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert np.abs(floats - np.rint(floats)).max() > 0.05


def test_the_reference_preprocessing_squashes_in_floats():
    assert Preprocessing.reference() == Preprocessing(224, "squash", "bicubic", resized_as="float32")


def test_resizing_of_ones_own_is_asked_for_whole_levels_only(noise):
    asked = []

    def resize(rgb, width, height, interpolation):
        asked.append((rgb.shape, width, height, interpolation))
        return np.full((height, width, 3), 51, np.uint8)

    np.testing.assert_allclose(Preprocessing(8, "crop", "bilinear", **PLAIN)(noise(16, 32), resize), 0.2)
    assert asked == [((16, 32, 3), 16, 8, "bilinear")]
    Preprocessing(8, resized_as="float32")(noise(), resize)
    assert len(asked) == 1


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
