"""Decoding rules, and the reasons for a refusal."""

import io
import resource
import struct
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode, decode_with_info

WHITE = (255, 255, 255)


def refusal(data):
    with pytest.raises(Unreadable) as caught:
        decode(data)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "ppm", "tga"])
def test_lossless_colour_comes_back_exactly(encoded, noise, kind):
    np.testing.assert_array_equal(decode(encoded(noise(), kind)), noise())


@pytest.mark.parametrize("kind", ["jpeg", "webp", "gif"])
def test_lossy_colour_comes_back_nearly(encoded, kind):
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    pixels = np.stack(
        [np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32)), np.full((32, 32), 90, np.uint8)], axis=2
    )
    decoded = decode(encoded(pixels, kind)).astype(int)
    assert np.abs(decoded - pixels).mean() < 12


def test_16_bit_grey_is_scaled_and_not_saturated(encoded):
    grey = np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16)
    decoded = decode(encoded(grey))
    assert decoded.shape == (20, 20, 3)
    np.testing.assert_array_equal(decoded, np.rint(grey / 257)[..., None].repeat(3, axis=2))


def test_dark_16_bit_grey_stays_dark(encoded):
    assert decode(encoded(np.full((4, 4), 2570, np.uint16))).max() == 10


@pytest.mark.parametrize("alpha", [0, 64, 128, 255])
def test_transparency_is_composited_on_white(encoded, alpha):
    pixels = np.full((3, 3, 4), (200, 40, 0, alpha), np.uint8)
    expected = [255 + (value - 255) * alpha / 255 for value in (200, 40, 0)]
    np.testing.assert_allclose(decode(encoded(pixels)), np.broadcast_to(expected, (3, 3, 3)), atol=1)


def test_grey_with_alpha_is_composited_on_white(encoded):
    image = Image.new("LA", (2, 1))
    image.putdata([(0, 0), (7, 255)])
    np.testing.assert_array_equal(decode(encoded(image)), [[WHITE, (7, 7, 7)]])


def palette():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    return image


def test_a_palette_becomes_its_colours(encoded):
    np.testing.assert_array_equal(decode(encoded(palette())), [[(255, 0, 0), (0, 0, 255)]])


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_the_transparent_colour_of_a_palette_becomes_white(encoded, kind):
    np.testing.assert_array_equal(decode(encoded(palette(), kind, transparency=0)), [[WHITE, (0, 0, 255)]])


@pytest.mark.parametrize(
    ("inks", "colour"), [((0, 0, 0, 0), WHITE), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))]
)
def test_a_cmyk_jpeg_becomes_its_colours(encoded, inks, colour):
    data = encoded(Image.new("CMYK", (16, 16), inks), "jpeg", quality=95)
    np.testing.assert_allclose(decode(data), np.broadcast_to(colour, (16, 16, 3)), atol=6)


def test_the_size_reported_is_that_before_exif_orientation(encoded, noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded, info = decode_with_info(encoded(noise(3, 5), exif=exif))
    assert decoded.shape == (5, 3, 3)
    assert (info.width_px, info.height_px) == (5, 3)


def test_a_tiff_of_several_pages_gives_its_first(encoded, noise):
    pages = [Image.fromarray(noise(seed=seed)) for seed in (1, 2)]
    np.testing.assert_array_equal(
        decode(encoded(pages[0], "tiff", save_all=True, append_images=pages[1:])), noise(seed=1)
    )


def test_one_bit_becomes_black_and_white(encoded):
    bits = np.array([[True, False, True]])
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(bits)))[0, :, 0], [255, 0, 255])


def test_floats_between_0_and_1_are_scaled_to_the_full_range(encoded):
    values = np.array([[0.2, 0.4, 0.8]], np.float32)
    np.testing.assert_array_equal(decode(encoded(values, "tiff"))[0, :, 0], np.rint(values[0] * 255))


def test_other_floats_are_scaled_by_their_own_range(encoded):
    values = np.array([[-10.0, 0.0, 30.0]], np.float32)
    np.testing.assert_array_equal(decode(encoded(values, "tiff"))[0], [(0,) * 3, (64,) * 3, (255,) * 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_floats_that_are_no_numbers_are_refused(encoded, bad):
    assert refusal(encoded(np.array([[0.5, bad]], np.float32), "tiff")) == "corrupt"


def test_what_the_header_says_is_reported(encoded, noise):
    _, info = decode_with_info(encoded(Image.fromarray(noise(9, 4)).convert("L"), "jpeg"))
    assert (info.width_px, info.height_px, info.format, info.mode) == (4, 9, "JPEG", "L")


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [("jpeg", {}), ("jpeg", {"progressive": True}), ("png", {}), ("bmp", {}), ("webp", {}), ("gif", {}), ("ppm", {})],
)
def test_a_truncated_image_is_refused_and_not_padded(encoded, noise, kind, settings, share):
    data = encoded(noise(120, 120), kind, **settings)
    assert refusal(data[: int(len(data) * share)]) in {"truncated", "corrupt"}


def test_no_bytes_are_an_empty_file():
    assert refusal(b"") == "empty"


@pytest.mark.parametrize("data", [b"hello\n", b"\0" * 1000, b"<html><body>404</body></html>", b"\xff", b"%PDF-1.4\n"])
def test_what_is_no_image_is_refused_as_such(data):
    assert refusal(data) == "not an image"


def test_a_damaged_image_is_refused(encoded, noise):
    data = bytearray(encoded(noise()))
    data[60:200] = bytes(140)
    assert refusal(bytes(data)) in {"corrupt", "truncated"}


def png_that_says(encoded, width, height):
    data = bytearray(encoded(Image.new("RGB", (8, 8))))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def bmp_that_says(encoded, width, height):
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "bmp"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def jpeg_that_says(encoded, width, height):
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "jpeg"))
    offset = data.index(b"\xff\xc0") + 5
    data[offset : offset + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_that_says(encoded, width, height):
    data = bytearray(encoded(Image.new("P", (8, 8)), "gif"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


@pytest.mark.parametrize("lying", [png_that_says, bmp_that_says, jpeg_that_says, gif_that_says])
def test_a_header_that_lies_about_a_huge_size_is_refused_without_allocating(encoded, lying):
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(lying(encoded, 60_000, 60_000)) == "too large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_a_header_that_lies_about_a_possible_size_is_refused(encoded):
    assert refusal(png_that_says(encoded, 800, 800)) in {"truncated", "corrupt"}


def test_a_header_without_pixels_is_refused(encoded):
    assert isinstance(refusal(png_that_says(encoded, 0, 8)), str)


def test_no_image_makes_another_program_run(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    script = tmp_path / "gs"
    script.write_text(f"#!/bin/sh\ntouch '{tmp_path}/it-ran'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "eps")
    with pytest.raises(Unreadable):
        decode(buffer.getvalue())
    assert not (tmp_path / "it-ran").exists()
