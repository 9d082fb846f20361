"""Unusual layouts, pixel by pixel, in files that were put together byte by byte."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode, decode_with_info
from dna_pipelines_tests.imaging.crafting import (
    BLACK_IS_ZERO,
    COLOUR,
    COLOUR_ALPHA,
    FLOAT,
    GREY,
    GREY_ALPHA,
    RGB,
    SEPARATED,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    chunk,
    png,
    tiff,
)
from dna_pipelines_tests.raising import raises

WHITE = (255, 255, 255)
DEEP = np.array([0, 255, 256, 1000, 32768, 65535], np.uint16)


def greys(levels):
    return np.repeat(np.asarray(levels, np.uint8)[None, :, None], 3, axis=2)


# Colour of 16 bits: the upper byte.


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_16_bit_colour_gives_the_upper_bytes(order, big):
    values = DEEP.reshape(1, 2, 3)
    np.testing.assert_array_equal(decode(tiff(values, RGB, 16, order=order, big=big)), values >> 8)
    np.testing.assert_array_equal(decode(png(values, COLOUR, 16)), values >> 8)


def on_white(levels, alpha):
    return np.rint(255 + (levels.astype(float) - 255) * (alpha / 255))


def test_16_bit_colour_with_alpha_is_composited():
    values = np.random.default_rng(0).integers(0, 65536, (9, 11, 4), np.uint16)
    expected = on_white(values[..., :3] >> 8, values[..., 3:] >> 8)
    np.testing.assert_array_equal(decode(png(values, COLOUR_ALPHA, 16)), expected)
    np.testing.assert_array_equal(decode(tiff(values, RGB, 16, extra=2)), expected)


def test_16_bit_grey_with_alpha_is_composited():
    values = np.random.default_rng(0).integers(0, 65536, (9, 11, 2), np.uint16)
    decoded = decode(png(values, GREY_ALPHA, 16))
    np.testing.assert_array_equal(decoded, on_white(values[..., :1] >> 8, values[..., 1:] >> 8).repeat(3, axis=2))


# Transparency.


def test_compositing_rounds_to_the_nearest_level_for_every_level_and_alpha(encoded):
    levels, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    pixels = np.stack([levels, levels, levels, alpha], axis=2)
    expected = on_white(levels, alpha)
    np.testing.assert_array_equal(decode(encoded(pixels))[..., 0], expected)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(pixels).convert("LA")))[..., 0], expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_white_at_every_depth(depth):
    full = 2**depth - 1
    values = np.array([[[0], [1], [full]]])
    levels = [0, round(255 / full), 255]
    np.testing.assert_array_equal(decode(png(values, GREY, depth)), greys(levels))
    clear = chunk(b"tRNS", struct.pack(">H", 1))
    levels[1] = 255
    np.testing.assert_array_equal(decode(png(values, GREY, depth, before=clear)), greys(levels))


def test_the_transparent_colour_of_a_png_is_white():
    clear = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    values = np.array([[(1, 2, 3), (1, 2, 4)]])
    np.testing.assert_array_equal(decode(png(values, COLOUR, 8, before=clear)), [[WHITE, (1, 2, 4)]])
    deep = chunk(b"tRNS", struct.pack(">HHH", 0x1FF, 0x2FF, 0x3FF))
    np.testing.assert_array_equal(decode(png(values << 8, COLOUR, 16, before=deep)), [[WHITE, (1, 2, 4)]])


def test_a_palette_with_shades_of_transparency(encoded):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 0, 255, 9, 9, 9])
    image.putdata([0, 1, 2])
    data = encoded(image, transparency=bytes([255, 51, 0]))
    np.testing.assert_array_equal(decode(data), [[(255, 0, 0), (204, 204, 255), WHITE]])


def test_a_palette_with_alpha_channel(encoded):
    image = Image.new("PA", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([(0, 255), (1, 0)])
    np.testing.assert_array_equal(decode(encoded(image, "tiff")), [[(255, 0, 0), WHITE]])


def test_colours_multiplied_with_their_alpha_beforehand_are_not_multiplied_again():
    """A half transparent red is stored as a half red."""
    values = np.array([[(128, 0, 0, 128), (0, 0, 0, 0)]], np.uint8)
    associated, separate = decode(tiff(values, RGB, 8, extra=1)), decode(tiff(values, RGB, 8, extra=2))
    np.testing.assert_array_equal(associated, [[(255, 127, 127), WHITE]])
    np.testing.assert_array_equal(separate, [[(191, 127, 127), WHITE]])


def test_a_fourth_channel_that_is_no_alpha_is_left_out():
    values = np.array([[(10, 20, 30, 0)]], np.uint8)
    np.testing.assert_array_equal(decode(tiff(values, RGB, 8, extra=0)), [[(10, 20, 30)]])


# Grey.


@pytest.mark.parametrize("order", "<>")
def test_16_bit_grey_of_a_tiff_is_scaled(order):
    decoded = decode(tiff(DEEP[None, :, None], BLACK_IS_ZERO, 16, order=order))
    np.testing.assert_array_equal(decoded, greys(np.rint(DEEP / 257)))


def test_12_bit_grey_spans_12_bits():
    packed = np.frombuffer(b"\x00\x0f\xff\x80\x00\x00", np.uint8)
    data = bytearray(tiff(packed[None, :, None], BLACK_IS_ZERO, 12))
    width = data.index(struct.pack("<HHI", 256, 4, 1)) + 8
    data[width : width + 4] = struct.pack("<I", 4)
    np.testing.assert_array_equal(decode(bytes(data)), greys(np.rint(np.array([0, 4095, 2048, 0]) * 255 / 4095)))


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_white_is_zero_is_turned_around(bits, kind):
    full = 2**bits - 1
    decoded = decode(tiff(np.array([[[0], [full // 5], [full]]], kind), WHITE_IS_ZERO, bits))
    np.testing.assert_array_equal(decoded, greys([255, 204, 0]))


def test_negative_integers_span_their_own_range():
    values = np.array([[[-100], [0], [300]]], np.int16)
    np.testing.assert_array_equal(decode(tiff(values, BLACK_IS_ZERO, 16, sample=SIGNED)), greys([0, 64, 255]))


def test_unsigned_32_bit_integers_do_not_become_negative():
    values = np.array([[[0], [2**31], [2**32 - 1]]], np.uint32)
    np.testing.assert_array_equal(decode(tiff(values, BLACK_IS_ZERO, 32, sample=UNSIGNED)), greys([0, 128, 255]))


def test_small_32_bit_integers_are_those_of_16_bits():
    values = np.array([[[0], [257 * 77]]], np.uint32)
    np.testing.assert_array_equal(decode(tiff(values, BLACK_IS_ZERO, 32)), greys([0, 77]))


@pytest.mark.parametrize("order", "<>")
def test_floats_of_a_tiff(order):
    values = np.array([[[0.0], [0.2], [1.0]]], np.float32)
    np.testing.assert_array_equal(
        decode(tiff(values, BLACK_IS_ZERO, 32, sample=FLOAT, order=order)), greys([0, 51, 255])
    )


def test_a_constant_deep_image_has_no_range_to_divide_by():
    values = np.full((2, 2, 1), -7.0, np.float32)
    np.testing.assert_array_equal(decode(tiff(values, BLACK_IS_ZERO, 32, sample=FLOAT)), np.zeros((2, 2, 3)))


def test_a_pnm_of_many_levels_is_scaled():
    np.testing.assert_array_equal(decode(b"P2 3 1 1023 0 341 1023"), greys([0, 85, 255]))
    np.testing.assert_array_equal(decode(b"P5 2 1 65535 " + struct.pack(">HH", 257 * 9, 65535)), greys([9, 255]))


def test_floats_of_a_pfm_are_read_in_its_own_byte_order_and_from_the_bottom():
    for scale, order in ((b"-1.0", "<"), (b"1.0", ">")):
        decoded = decode(b"Pf\n1 2\n" + scale + b"\n" + struct.pack(f"{order}ff", 0.2, 1.0))
        np.testing.assert_array_equal(decoded[:, 0, 0], [255, 51])


def test_16_bit_grey_of_a_jpeg_2000_is_scaled(encoded):
    grey = np.linspace(0, 65535, 1024).reshape(32, 32).astype(np.uint16)
    np.testing.assert_array_equal(decode(encoded(grey, "jpeg2000"))[..., 0], np.rint(grey / 257))


# Other colours.


@pytest.mark.parametrize(("inks", "colour"), [((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))])
def test_cmyk_of_a_tiff(inks, colour):
    np.testing.assert_array_equal(decode(tiff(np.array([[inks]], np.uint8), SEPARATED, 8)), [[colour]])


def test_ycbcr_of_a_tiff(encoded):
    image = Image.new("YCbCr", (2, 2), (128, 128, 128))
    np.testing.assert_array_equal(decode(encoded(image, "tiff")), np.full((2, 2, 3), 128))


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_a_colour_profile_changes_nothing_even_a_broken_one(encoded, noise, kind):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    plain = decode(encoded(noise(), kind))
    for held in (profile, b"no profile at all"):
        np.testing.assert_array_equal(decode(encoded(noise(), kind, icc_profile=held)), plain)


# Order of storage.


@pytest.mark.parametrize(("kind", "channels"), [(GREY, 1), (COLOUR, 3), (COLOUR_ALPHA, 4)])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 9)])
def test_an_interlaced_png_is_that_png(kind, channels, depth, size):
    values = np.random.default_rng(1).integers(0, 2**depth, (*size, channels))
    np.testing.assert_array_equal(decode(png(values, kind, depth, interlaced=True)), decode(png(values, kind, depth)))


SIDES = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip
"""The EXIF standard's words: the visual side of the stored row 0, and that of the stored column 0."""


def stood_up(stored, orientation):
    """Every pixel moved to the position that the standard gives."""
    height, width = stored.shape[:2]
    upright = np.zeros((width, height, 3) if orientation >= 5 else stored.shape, np.uint8)
    for row in range(height):
        for column in range(width):
            position = {}
            for side, index in zip(SIDES[orientation], (row, column), strict=True):
                axis = "y" if side in ("top", "bottom") else "x"
                last = upright.shape[0 if axis == "y" else 1] - 1
                position[axis] = index if side in ("top", "left") else last - index
            upright[position["y"], position["x"]] = stored[row, column]
    return upright


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
def test_exif_orientation_is_applied(encoded, noise, kind, orientation):
    settings = {"webp": {"lossless": True}, "jpeg": {"quality": 95}}.get(kind, {})
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = decode(encoded(noise(3, 5), kind, **settings))
    decoded = decode(encoded(noise(3, 5), kind, exif=exif, **settings))
    np.testing.assert_array_equal(decoded, stood_up(stored, orientation))


def test_the_orientation_of_an_avif_is_applied(encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, 16:] = 255
    decoded = decode(encoded(stored, "avif", exif=exif, quality=100)).astype(int)
    assert np.abs(decoded - stood_up(stored, 6)).max() <= 4


@pytest.mark.parametrize("lie", [0, 9, 65535])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_orientation_without_meaning_is_upright(encoded, noise, kind, lie):
    exif = Image.Exif()
    exif[0x0112] = lie
    np.testing.assert_array_equal(decode(encoded(noise(3, 5), kind, exif=exif)), decode(encoded(noise(3, 5), kind)))


@pytest.mark.parametrize("junk", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 40])
def test_exif_that_cannot_be_read_does_not_spoil_the_pixels(encoded, noise, junk):
    np.testing.assert_array_equal(decode(encoded(noise(3, 5), "jpeg", exif=junk)), decode(encoded(noise(3, 5), "jpeg")))


@pytest.mark.parametrize("kind", ["avif", "webp", "png", "gif", "mpo", "tiff"])
def test_the_first_of_several_pictures_is_taken(encoded, kind):
    colours = [(255, 0, 0), (0, 0, 255)]
    first, second = (Image.new("RGB", (16, 16), colour) for colour in colours)
    decoded = decode(encoded(first, kind, save_all=True, append_images=[second])).astype(int)
    assert np.abs(decoded - colours[0]).max() <= 4


def test_the_header_of_what_is_read_is_reported(noise):
    buffer = io.BytesIO()
    Image.fromarray(noise(9, 4)).save(buffer, "mpo", save_all=True, append_images=[Image.fromarray(noise(9, 4))])
    _, info = decode_with_info(buffer.getvalue())
    assert (info.width_px, info.height_px, info.format, info.mode) == (4, 9, "MPO", "RGB")


@pytest.mark.parametrize(("alpha_bits", "expected"), [(0, [9, 90, 200]), (8, [255, 255, 255])])
def test_the_fourth_byte_of_a_tga_is_alpha_where_the_descriptor_says_so(alpha_bits, expected):
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 2, 1, 32, 0x20 | alpha_bits)
    assert decode(header + bytes([200, 90, 9, 0]) * 2).tolist() == [[expected] * 2]


def test_a_bmp_of_odd_bit_fields_is_unsupported():
    """Ten bits a channel: Pillow has no mode for it."""
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0)
    masks = struct.pack("<III", 0x3FF00000, 0xFFC00, 0x3FF)
    file = struct.pack("<2sIHHI", b"BM", 14 + 40 + 12 + 8, 0, 0, 14 + 40 + 12)
    with raises(Unreadable, "image.unsupported"):
        decode(file + header + masks + bytes(8))


@pytest.mark.parametrize("lossless", [True, False])
def test_canvas_that_no_frame_of_an_animation_covers_is_white(lossless):
    frames = [Image.new("RGBA", (32, 24)) for _ in range(2)]
    for frame, red in zip(frames, (255, 200), strict=True):
        frame.paste((red, 0, 0, 255), (4, 4, 20, 20))
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=lossless)
    # The flag for transparency is not set, because the frames have none.
    assert not buffer.getvalue()[20] & 0x10
    pixels, info = decode_with_info(buffer.getvalue())
    expected = np.full((24, 32, 3), 255)
    expected[4:20, 4:20] = (255, 0, 0)
    assert np.abs(pixels - expected).max() <= (0 if lossless else 4)
    assert info.rules == 2
