"""Declared readings: the same numbers give the same pixels, whatever file they are stored in."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import BY_RULES, FileRead, Reading, decode, decode_known, decode_with_info, encoded, n_pages
from dna_pipelines_tests.imaging import crafting
from dna_pipelines_tests.imaging.test_jpeg import photo
from dna_pipelines_tests.raising import raises

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 4096, (20, 30)).astype(np.uint16)
COLOUR = DRAW.integers(0, 4096, (20, 30, 3)).astype(np.uint16)
GREY[0, :2] = COLOUR[0, 0, :2] = 0, 4095
TWELVE = Reading(bits=12)


def tiff(*pages, order="<", **settings):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order) as writer:
        for page in pages:
            writer.write(page, metadata=None, **settings)
    return file.getvalue()


def netpbm(kind, values, maximum):
    height, width = values.shape[:2]
    return b"P%d\n# 12 bits\n%d %d\n%d\n" % (kind, width, height, maximum) + values.astype(">u2").tobytes()


def jpeg2000(values, bits):
    imagecodecs = pytest.importorskip("imagecodecs")
    return imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits)


def png(values):
    kind = {1: crafting.GREY, 2: crafting.GREY_ALPHA, 3: crafting.COLOUR, 4: crafting.COLOUR_ALPHA}
    return crafting.png(np.atleast_3d(values), kind[np.atleast_3d(values).shape[2]], 16)


def scaled(values, black, white):
    grey = np.clip(np.rint((values.astype(float) - black) * 255 / (white - black)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey


GREY_FILES = {
    "tiff": lambda: tiff(GREY),
    "big-endian, compressed tiff": lambda: tiff(GREY, order=">", compression="zlib"),
    "signed tiff": lambda: tiff(GREY.astype(np.int16)),
    "32-bit tiff": lambda: tiff(GREY.astype(np.uint32)),
    "png": lambda: png(GREY),
    "jpeg 2000 of 12 bits": lambda: jpeg2000(GREY, 12),
    "jpeg 2000 of 16 bits": lambda: jpeg2000(GREY, 16),
    "pgm of 4095": lambda: netpbm(5, GREY, 4095),
    "pgm of 65535": lambda: netpbm(5, GREY, 65535),
}
COLOUR_FILES = {
    "tiff": lambda: tiff(COLOUR, photometric="rgb"),
    "planar tiff": lambda: tiff(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
    "png": lambda: png(COLOUR),
    "jpeg 2000": lambda: jpeg2000(COLOUR, 12),
    "ppm": lambda: netpbm(6, COLOUR, 65535),
}


@pytest.mark.parametrize("kind", GREY_FILES)
def test_12_bits_of_grey_are_the_same_in_every_file(kind):
    data = GREY_FILES[kind]()
    np.testing.assert_array_equal(decode(FileRead(data, TWELVE)), scaled(GREY, 0, 4095))
    np.testing.assert_array_equal(decode(FileRead(data, Reading(value_range=(0, 4095)))), scaled(GREY, 0, 4095))


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_12_bits_of_colour_are_the_same_in_every_file(kind):
    data = COLOUR_FILES[kind]()
    np.testing.assert_array_equal(decode(FileRead(data, TWELVE)), scaled(COLOUR, 0, 4095))
    np.testing.assert_array_equal(
        decode(FileRead(data, Reading(bits=12, bands=(3, 1, 2)))), scaled(COLOUR[..., [2, 0, 1]], 0, 4095)
    )


@pytest.mark.parametrize("kind", ["tiff", "png", "jpeg 2000 of 16 bits"])
def test_where_the_reading_is_declared_nothing_is_assumed(kind):
    data = GREY_FILES[kind]()
    assert decode_with_info(FileRead(data, TWELVE))[1].assumed == ""


@given(
    st.floats(-2, 2).map(np.float32),
    st.floats(-2, 2).map(np.float32),
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20),
)
def test_a_value_range_is_linear_and_counts_what_it_clips(black, white, values):
    if black == white:
        return
    reading = Reading(value_range=(float(black), float(white)))
    pixels, info = decode_with_info(FileRead(tiff(np.array([values], np.float32)), reading))
    expected, n_clipped = [], 0
    for value in values:
        share = (value - float(black)) / (float(white) - float(black))
        n_clipped += not min(black, white) <= value <= max(black, white)
        expected.append(min(max(share, 0), 1) * 255)
    assert np.abs(pixels[0, :, 0] - np.array(expected)).max() <= 0.5 + 1e-6
    assert (info.n_clipped, info.assumed) == (n_clipped, "")


def test_a_range_of_8_bit_levels(encoded):
    data = encoded(photo(), "jpeg", quality=95)
    levels = decode(data)
    pixels, info = decode_with_info(FileRead(data, Reading(value_range=(50, 200))))
    np.testing.assert_array_equal(pixels, scaled(levels, 50, 200))
    assert info.n_clipped == np.count_nonzero((levels < 50) | (levels > 200))


def test_a_range_from_high_to_low_is_a_negative():
    data = tiff(GREY)
    both = [decode(FileRead(data, Reading(value_range=ends))) for ends in ((0, 4095), (4095, 0))]
    assert np.abs(both[0].astype(int) + both[1] - 255).max() <= 1


def test_bands_are_those_that_are_named():
    bands = DRAW.integers(0, 256, (20, 30, 6)).astype(np.uint8)
    files = [
        tiff(bands, photometric="minisblack", planarconfig="contig"),
        tiff(bands, photometric="rgb", planarconfig="contig", extrasamples=["unspecified"] * 3),
        tiff(bands.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
    ]
    for data in files:
        pixels, info = decode_with_info(FileRead(data, Reading(bands=(4, 3, 6))))
        np.testing.assert_array_equal(pixels, bands[..., [3, 2, 5]])
        assert info.assumed == ""
        np.testing.assert_array_equal(decode(FileRead(data, Reading(bands=(5,)))), bands[..., [4] * 3])


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_of_named_bands_none_is_alpha(encoded, kind):
    layered = DRAW.integers(1, 256, (20, 30, 4)).astype(np.uint8)
    data = encoded(layered, kind, **({"lossless": True, "exact": True} if kind == "webp" else {}))
    np.testing.assert_array_equal(decode(FileRead(data, Reading(bands=(3, 2, 4)))), layered[..., [2, 1, 3]])


def test_alpha_is_composited_where_values_are_declared():
    alpha = np.where(np.arange(30) < 15, 4095, 0).astype(np.uint16) * np.ones((20, 1), np.uint16)
    expected = scaled(COLOUR, 0, 4095)
    expected[:, 15:] = 255
    files = [png(np.dstack([COLOUR, alpha])), tiff(np.dstack([COLOUR, alpha]), photometric="rgb", extrasamples=[2])]
    for data in files:
        np.testing.assert_array_equal(decode(FileRead(data, TWELVE)), expected)


def test_a_file_in_which_0_is_white():
    data = tiff(GREY, photometric="miniswhite")
    np.testing.assert_array_equal(decode(FileRead(data, TWELVE)), 255 - scaled(GREY, 0, 4095))
    # A range says itself which value is black.
    np.testing.assert_array_equal(decode(FileRead(data, Reading(value_range=(0, 4095)))), scaled(GREY, 0, 4095))


@pytest.mark.parametrize(
    ("values", "reading", "facts"),
    [
        (GREY, Reading(bits=11), {"bits": 11}),
        (GREY, Reading(bits=17), {"bits": 17, "stored_bits": 16}),
        (GREY.astype(np.float32), TWELVE, {"bits": 12}),
        ((GREY.astype(int) - 10).astype(np.int16), TWELVE, {"bits": 12}),
        (GREY, Reading(bands=(2,)), {"n_bands": 1}),
        (COLOUR, Reading(bands=(1, 2, 7)), {"n_bands": 3}),
    ],
    ids=["larger values", "fewer bits", "floats", "negative values", "second band of grey", "seventh band of colour"],
)
def test_a_reading_that_cannot_apply(values, reading, facts):
    with raises(Unreadable, "image.not-as-declared", **facts):
        decode(FileRead(tiff(values), reading))


def test_8_bits_are_no_12(encoded):
    with raises(Unreadable, "image.not-as-declared", bits=12, stored_bits=8):
        decode(FileRead(encoded(photo(), "jpeg"), TWELVE))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value):
    with raises(Unreadable, "image.corrupt"):
        decode(FileRead(tiff(np.full((3, 4), value, np.float32)), Reading(value_range=(0, 1))))


def test_text_of_a_reading():
    some = [BY_RULES, TWELVE, Reading(value_range=(-1, 2.5)), Reading(bands=(4, 3, 2), page=7), Reading(rules=2)]
    assert [Reading.from_text(one.to_text()) for one in some] == some
    assert BY_RULES.to_text() is None
    assert encoded(b"bytes", BY_RULES) == b"bytes"


class TestPages:
    FRAMES = tuple(np.full((8, 9, 3), level, np.uint8) for level in (0, 90, 180, 255))

    @pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
    def test_every_page_is_read(self, encoded, kind):
        images = [Image.fromarray(frame) for frame in self.FRAMES]
        lossless = {"lossless": True} if kind == "webp" else {}
        data = encoded(images[0], kind, save_all=True, append_images=images[1:], **lossless)
        assert n_pages(data) == 4
        for page, frame in enumerate(self.FRAMES, start=1):
            np.testing.assert_array_equal(decode(FileRead(data, Reading(page=page))), frame)
        with raises(Unreadable, "image.truncated", page=5):
            decode(FileRead(data, Reading(page=5)))

    def test_pages_of_any_layout_and_without_smaller_copies(self):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            writer.write(self.FRAMES[1], photometric="rgb", metadata=None)
            writer.write(self.FRAMES[1][::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
            writer.write(GREY, metadata=None)
            writer.write(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate", metadata=None)
        data = file.getvalue()
        assert n_pages(data) == 3
        np.testing.assert_array_equal(decode(FileRead(data, Reading(page=2, bits=12))), scaled(GREY, 0, 4095))
        np.testing.assert_array_equal(decode(FileRead(data, Reading(page=3, bits=12))), scaled(COLOUR, 0, 4095))
        np.testing.assert_array_equal(decode(FileRead(data, Reading(page=3))), (COLOUR >> 8).astype(np.uint8))

    def test_a_phone_s_depths_and_ordinary_files_are_one_page(self, encoded):
        assert n_pages(encoded(photo(), "mpo", save_all=True, append_images=[photo().resize((9, 9))])) == 1
        assert n_pages(encoded(photo(), "jpeg")) == 1

    def test_more_than_a_thousand(self):
        with raises(Unreadable, "image.too-large", limit=1000):
            n_pages(tiff(*[GREY[:1, :1]] * 1001))


class TestKnownImages:
    """What a scan accepted is decoded again without the checks that it passed."""

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "avif", "jpeg2000", "bmp", "tga", "tiff", "ppm"])
    def test_the_same_pixels(self, encoded, kind):
        data = encoded(photo(), kind)
        np.testing.assert_array_equal(decode_known(data), decode(data))

    def test_checksums_are_not_repeated(self, encoded):
        data = bytearray(encoded(photo(), "png"))
        data[-13] ^= 1  # in the checksum of the pixels
        with raises(Unreadable, "image.corrupt"):
            decode(bytes(data))
        assert decode_known(bytes(data)).shape == decode(encoded(photo(), "png")).shape

    @pytest.mark.parametrize(
        ("data", "rules"),
        [
            (tiff(GREY), 1),
            (tiff(COLOUR, photometric="rgb"), 1),
            (tiff(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"), 2),
        ],
        ids=["grey", "colour", "planes of 16 bits"],
    )
    def test_an_image_of_other_rules_is_not_taken_for_the_same(self, data, rules):
        assert decode_with_info(data)[1].rules == rules
        decode_known(FileRead(data, Reading(rules=rules)))
        with raises(Unreadable, "image.other-rules", rules=rules, scanned_by=3 - rules):
            decode_known(FileRead(data, Reading(rules=3 - rules)))
