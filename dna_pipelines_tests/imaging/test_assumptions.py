"""What a file leaves open is said: pages, frames and bands that are not read, and values that are scaled."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from dna_pipelines.imaging import decode_with_info
from dna_pipelines_tests.imaging.crafting import COLOUR, png
from dna_pipelines_tests.imaging.test_jpeg import photo

Y, X = np.mgrid[0:20, 0:30]


def assumed(data):
    info = decode_with_info(data)[1]
    return f"{info.assumed}{info.further_pages}"


def tiff(*pages, reduced=False, order="<", **settings):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order) as writer:
        for number, page in enumerate(pages):
            writer.write(page, metadata=None, subfiletype=int(reduced and number > 0), **settings)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp", "avif", "jpeg2000", "bmp", "tga", "tiff", "ppm"])
def test_a_photograph_leaves_nothing_open(encoded, kind):
    assert assumed(encoded(photo(), kind)) == ""


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "avif"])
def test_of_several_frames_the_first_is_read(encoded, kind):
    frames = {"save_all": True, "append_images": [photo().rotate(90), photo().rotate(180)]}
    assert "frames" in assumed(encoded(photo(), kind, **frames))


def test_the_depths_in_a_file_of_a_phone_are_no_frames(encoded):
    assert assumed(encoded(photo(), "mpo", save_all=True, append_images=[photo().resize((9, 9))])) == ""


@pytest.mark.parametrize(("reduced", "expected"), [(False, "3 pages"), (True, "")])
def test_of_several_pages_the_first_is_read_and_smaller_copies_are_none(reduced, expected):
    page = np.asarray(photo((30, 20)))
    said = assumed(tiff(page, page[::2, ::2], page[::4, ::4], reduced=reduced, photometric="rgb"))
    assert expected in said
    assert bool(said) == bool(expected)


@pytest.mark.parametrize("planar", [False, True])
def test_bands_after_the_colours_are_ignored(planar):
    bands = np.random.default_rng(0).integers(0, 256, (20, 30, 6), np.uint8)
    stored, config = (bands.transpose(2, 0, 1).copy(), "separate") if planar else (bands, "contig")
    assert "6 bands" in assumed(tiff(stored, photometric="rgb", planarconfig=config, extrasamples=["unspecified"] * 3))


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        (np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16), ()),
        (np.linspace(0, 4095, 600).reshape(20, 30).astype(np.uint16), ("16 bits", "4095")),
        (np.linspace(0, 1, 600).reshape(20, 30).astype(np.float32), ()),
        (np.linspace(-2, 8, 600).reshape(20, 30).astype(np.float32), ("-2", "8")),
        (np.linspace(0, 100_000, 600).reshape(20, 30).astype(np.uint32), ("0", "100000")),
    ],
    ids=["16 bits", "12 of 16 bits", "floats in [0, 1]", "other floats", "more than 16 bits"],
)
@pytest.mark.parametrize("order", "<>")
def test_values_that_do_not_say_their_scale(values, facts, order):
    said = assumed(tiff(values, order=order))
    assert all(fact in said for fact in facts)
    assert bool(said) == bool(facts)


def test_12_bits_in_a_png_of_16(encoded):
    assert "16 bits" in assumed(encoded(Image.fromarray((X * 130).astype(np.uint16)), "png"))


@pytest.mark.parametrize(("largest", "is_said"), [(4095, True), (4096, False)])
def test_12_bits_in_colours_of_16(largest, is_said):
    colours = np.stack([X * largest // 29, Y * 9, X * Y], axis=2).astype(np.uint16)
    planes = colours.transpose(2, 0, 1).copy()
    files = [
        png(colours, COLOUR, 16),
        tiff(colours, photometric="rgb"),
        tiff(planes, photometric="rgb", planarconfig="separate"),
    ]
    assert ["16 bits" in assumed(file) for file in files] == [is_said] * 3
