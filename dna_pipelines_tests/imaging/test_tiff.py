"""TIFF: every combination of interpretation, type, byte order, compression and tiling is decoded right, or refused.

The files are written by tifffile from one known image. The pixels that they must give follow from `docs/decoding.md`.
"""

import io
import itertools
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode, decode_with_info
from dna_pipelines_tests.imaging.crafting import tiff
from dna_pipelines_tests.raising import raises

HEIGHT, WIDTH = 29, 43
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOUR_16 = np.stack(
    [X * 65535 // (WIDTH - 1), Y * 65535 // (HEIGHT - 1), (X + Y) * 65535 // (WIDTH + HEIGHT - 2)], axis=2
).astype(np.uint16)
COLOUR = (COLOUR_16 >> 8).astype(np.uint8)
GREY_16, GREY = COLOUR_16[..., 2], COLOUR[..., 2]
ALPHA = np.where(X < WIDTH // 2, 255, 128).astype(np.uint8)
INKS = np.stack([COLOUR[..., 0], COLOUR[..., 1], (X + Y) % 256, X * 2 % 100], axis=2).astype(np.uint8)
PALETTE = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)


def deep(levels):
    return levels.astype(np.uint16) * 257


def white(colours, alpha=ALPHA):
    share = alpha[..., None] / 255
    return np.rint(colours * share + 255 * (1 - share))


def premultiplied(colours):
    return np.rint(colours * (ALPHA / 255).reshape(ALPHA.shape + (1,) * (colours.ndim - 2))).astype(np.uint8)


def rgb(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, axis=2)


def printed(inks):
    return np.rint((255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255)


GREY_OF_16, STRETCHED = rgb(np.rint(GREY_16 / 257)), (GREY.astype(float) - GREY.min()) * 255 / np.ptp(GREY)
LAYOUTS = {
    # name: (pixels to store, photometric, extra samples, the RGB that it must give)
    "rgb8": (COLOUR, "rgb", [], COLOUR),
    "rgb16": (COLOUR_16, "rgb", [], COLOUR),
    "float rgb": ((COLOUR_16 / 65535).astype(np.float32), "rgb", [], np.rint(COLOUR_16 / 257)),
    "grey8": (GREY, "minisblack", [], rgb(GREY)),
    "grey16": (GREY_16, "minisblack", [], GREY_OF_16),
    "grey8 of white 0": (GREY, "miniswhite", [], 255 - rgb(GREY)),
    "grey16 of white 0": (GREY_16, "miniswhite", [], 255 - GREY_OF_16),
    "grey32": (GREY_16.astype(np.uint32), "minisblack", [], GREY_OF_16),
    "float": ((GREY_16 / 65535).astype(np.float32), "minisblack", [], GREY_OF_16),
    "double": (GREY_16 / 65535, "minisblack", [], GREY_OF_16),
    "half": ((GREY / 255).astype(np.float16), "minisblack", [], rgb(GREY)),
    "signed 8": ((GREY.astype(int) - 128).astype(np.int8), "minisblack", [], rgb(np.rint(STRETCHED))),
    "signed 16": ((GREY_16 >> 1).astype(np.int16), "minisblack", [], rgb(np.rint((GREY_16 >> 1) / 257))),
    "signed 32": ((GREY_16 >> 1).astype(np.int32), "minisblack", [], rgb(np.rint((GREY_16 >> 1) / 257))),
    "rgba8": (np.dstack([COLOUR, ALPHA]), "rgb", ["unassalpha"], white(COLOUR)),
    "rgba16": (np.dstack([COLOUR_16, deep(ALPHA)]), "rgb", ["unassalpha"], white(COLOUR)),
    "premultiplied rgba8": (np.dstack([premultiplied(COLOUR), ALPHA]), "rgb", ["assocalpha"], white(COLOUR)),
    "rgb8 and another": (np.dstack([COLOUR, ALPHA]), "rgb", ["unspecified"], COLOUR),
    "rgb16 and another": (np.dstack([COLOUR_16, deep(ALPHA)]), "rgb", ["unspecified"], COLOUR),
    "rgb8 and two others": (np.dstack([COLOUR, GREY, ALPHA]), "rgb", ["unspecified"] * 2, COLOUR),
    "rgb16 and two others": (deep(np.dstack([COLOUR, GREY, ALPHA])), "rgb", ["unspecified"] * 2, COLOUR),
    "grey8 and alpha": (np.dstack([GREY, ALPHA]), "minisblack", ["unassalpha"], white(rgb(GREY))),
    "grey16 and alpha": (np.dstack([GREY_16, deep(ALPHA)]), "minisblack", ["unassalpha"], white(rgb(GREY))),
    "premultiplied grey8": (np.dstack([premultiplied(GREY), ALPHA]), "minisblack", ["assocalpha"], white(rgb(GREY))),
    "grey8 and another": (np.dstack([GREY, ALPHA]), "minisblack", ["unspecified"], rgb(GREY)),
    "grey16 and another": (np.dstack([GREY_16, deep(ALPHA)]), "minisblack", ["unspecified"], rgb(GREY)),
    "cmyk8": (INKS, "separated", [], printed(INKS)),
    "cmyk16": (deep(INKS), "separated", [], printed(INKS)),
    "black and white": (GREY > 127, "minisblack", [], rgb(np.where(GREY > 127, 255, 0))),
    "black and white of white 0": (GREY > 127, "miniswhite", [], rgb(np.where(GREY > 127, 0, 255))),
    "palette": (GREY, "palette", [], (PALETTE[:, GREY] >> 8).transpose(1, 2, 0)),
}
ORDERS, COMPRESSIONS, PREDICTORS, TILES = "<>", (None, "lzw", "zlib", "packbits"), (False, True), (None, (16, 16))


def written(pixels, photometric, **settings):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **settings)
    return file.getvalue()


def files(name):
    """Every way to store a layout that tifffile can write, with its settings."""
    pixels, photometric, extra, _ = LAYOUTS[name]
    for order, compression, predictor, tile in itertools.product(ORDERS, COMPRESSIONS, PREDICTORS, TILES):
        if predictor and (compression not in ("lzw", "zlib") or pixels.dtype == bool):
            continue
        for planar in (False, True) if pixels.ndim == 3 else (False,):
            settings = {"byteorder": order, "compression": compression, "predictor": predictor, "tile": tile}
            settings |= {"colormap": PALETTE} if photometric == "palette" else {}
            settings |= {"extrasamples": extra} if extra else {}
            settings |= {"planarconfig": "separate" if planar else "contig"} if pixels.ndim == 3 else {}
            stored = np.ascontiguousarray(pixels.transpose(2, 0, 1)) if planar else pixels
            yield (
                settings,
                written(
                    stored,
                    photometric,
                    **{key: value for key, value in settings.items() if value is not None and value is not False},
                ),
            )


def assert_right_or_unsupported(name):
    refused, expected = 0, LAYOUTS[name][3]
    for settings, data in files(name):
        found = decoded(data)
        if isinstance(found, str):
            assert found == "unsupported", settings
            refused += 1
        else:
            assert found.shape == expected.shape, settings
            assert np.abs(found - expected).max() <= 1, settings
    return refused


def decoded(data):
    """The pixels, or why there are none."""
    try:
        return decode(data)
    except Unreadable as error:
        return error.reason


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_its_pixels(name):
    assert assert_right_or_unsupported(name) == 0


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("missing", ["tifffile", "imagecodecs"])
def test_without_the_extra_a_layout_is_right_or_unsupported(name, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "imagecodecs":
        monkeypatch.setattr(tifffile.tifffile, "imagecodecs", WithoutCodecs())
    refused = assert_right_or_unsupported(name)
    # What photographs and scanners write needs nothing else than Pillow.
    assert refused == 0 or name not in {"rgb8", "grey8", "grey16", "palette", "black and white"}


class WithoutCodecs:
    """tifffile where imagecodecs is not installed: what it needs it for is an error that names it."""

    def __getattr__(self, codec):
        def missing(*_, **__):
            raise ValueError(f"{codec} requires the 'imagecodecs' package")

        return missing


def test_signed_colour_has_no_rule():
    with raises(Unreadable, "image.unsupported"):
        decode(written((COLOUR_16 >> 1).astype(np.int16), "rgb"))


@pytest.mark.parametrize("order", ORDERS)
def test_a_palette_of_8_bit_entries_is_not_black(order):
    """The standard has 16 bits; some writers store 8."""
    data = written(GREY, "palette", colormap=PALETTE >> 8, byteorder=order)
    np.testing.assert_array_equal(decode(data), (PALETTE[:, GREY] >> 8).transpose(1, 2, 0))


def test_colour_differences_without_jpeg():
    """Subsampled ones lie in blocks, for which there is no rule."""
    values = np.full((16, 16, 3), (90, 128, 128), np.uint8)
    assert (decode(tiff(values, 6, 8, more={530: [1, 1]})) == 90).all()
    for subsampled in ({530: [2, 2]}, {530: [2, 1]}, {}):
        with raises(Unreadable, "image.unsupported"):
            decode(tiff(values, 6, 8, more=subsampled))


@pytest.mark.parametrize("compression", ["webp", "jpeg2000", "zstd", "lzma"])
def test_rare_compressions_are_right_or_unsupported(compression):
    data = written(
        COLOUR, "rgb", compression=compression, compressionargs={"lossless": True} if compression == "webp" else {}
    )
    np.testing.assert_array_equal(decode(data), COLOUR)


def raw(*, preview_is_reduced, tag=None):
    """A camera raw file: a preview, and the values of a sensor in a directory of its own."""
    file = io.BytesIO()
    extra = [(tag, "B", 4, b"\1\4\0\0", True)] if tag else []
    with tifffile.TiffWriter(file) as writer:
        preview = np.full((12, 16, 3), 90, np.uint8)
        writer.write(
            preview, photometric="rgb", subfiletype=int(preview_is_reduced), subifds=1, metadata=None, extratags=extra
        )
        writer.write(GREY_16, photometric=32803, subfiletype=0, metadata=None)
    return file.getvalue()


@pytest.mark.parametrize("tag", [None, 50706, 37398], ids=["no tag", "DNG", "TIFF/EP"])
@pytest.mark.parametrize("preview_is_reduced", [True, False])
def test_a_camera_raw_file_is_not_its_preview(preview_is_reduced, tag):
    with raises(Unreadable, "image.unsupported", format="raw"):
        decode(raw(preview_is_reduced=preview_is_reduced, tag=tag))


def test_tiles_far_larger_than_the_image_are_refused():
    data = bytearray(written(np.zeros((16, 16), np.uint8), "minisblack", tile=(16, 16)))
    for name in ("TileWidth", "TileLength"):
        offset = tifffile.TiffFile(io.BytesIO(data)).pages.first.tags[name].valueoffset
        data[offset : offset + 2] = (26_736).to_bytes(2, "little")
    with raises(Unreadable, "image.too-large", tile_px=[26_736, 26_736]):
        decode(bytes(data))


@pytest.mark.parametrize("compression", [None, "zlib", "ccitt_t6"])
def test_pixels_that_end_after_the_file_are_truncated(compression):
    if compression == "ccitt_t6":
        file = io.BytesIO()
        Image.fromarray(GREY > 127).save(file, "tiff", compression="group4")
        data = file.getvalue()
        page = tifffile.TiffFile(io.BytesIO(data)).pages.first
        count = page.tags["StripByteCounts"]
        data = bytearray(data)
        data[count.valueoffset : count.valueoffset + 4] = (len(data) * 2).to_bytes(4, "little")
        data = bytes(data)
    else:
        data = written(COLOUR, "rgb", compression=compression)[:-10]
    with raises(Unreadable, "image.truncated"):
        decode(data)


def test_the_layout_is_in_the_manifest():
    info = decode_with_info(written((COLOUR_16 / 65535).astype(np.float32), "rgb"))[1]
    assert (info.width_px, info.height_px, info.format) == (WIDTH, HEIGHT, "TIFF")


@pytest.mark.parametrize("order", ORDERS)
def test_big_tiff(order):
    np.testing.assert_array_equal(decode(written(COLOUR, "rgb", bigtiff=True, byteorder=order)), COLOUR)


def test_orientation_is_applied_to_rare_layouts():
    plain = written(np.dstack([GREY_16, deep(ALPHA)]), "minisblack", extrasamples=["unassalpha"])
    turned = written(
        np.dstack([GREY_16, deep(ALPHA)]), "minisblack", extrasamples=["unassalpha"], extratags=[(274, "H", 1, 6, True)]
    )
    np.testing.assert_array_equal(decode(turned), np.rot90(decode(plain), -1))
