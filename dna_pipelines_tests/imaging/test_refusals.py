"""What cannot be decoded is refused with a reason, before it costs memory."""

import resource
import struct
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines_tests.imaging.crafting import (
    BLACK_IS_ZERO,
    CIELAB,
    COLOUR,
    GREY,
    chunk,
    png,
    tiff,
)
from dna_pipelines_tests.raising import raises


def refused(data):
    with pytest.raises(Unreadable) as caught:
        decode(data)
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("tiff", {}), ("tiff", {"compression": "tiff_lzw"}), ("tiff", {"compression": "tiff_deflate"}),
        ("tga", {}), ("tga", {"compression": "tga_rle"}), ("jpeg2000", {}), ("jpeg2000", {"irreversible": True}),
        ("avif", {}), ("webp", {"lossless": True}), ("png", {"compress_level": 0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_what_is_cut_off_is_refused_in_every_format(encoded, noise, kind, settings, share):
    data = encoded(noise(120, 120), kind, **settings)
    assert refused(data[: int(len(data) * share)]) in {"truncated", "corrupt"}


PNG_MODES = ["RGB", "L", "P", "RGBA", "1"]


@pytest.mark.parametrize("level", [0, 6])
@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_with_a_flipped_bit_is_refused_wherever_it_is(encoded, noise, mode, level):
    """Level 0 stores the pixels as they are, so nothing but a checksum notices."""
    data = encoded(Image.fromarray(noise(60, 80)).convert(mode), "png", compress_level=level)
    start, end = data.index(b"IDAT") + 4, len(data) - 12
    for offset in range(start, end, max(1, (end - start) // 60)):
        damaged = data[:offset] + bytes([data[offset] ^ 1 << offset % 8]) + data[offset + 1 :]
        assert refused(damaged) == "corrupt"


@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_with_zeros_in_place_of_its_tail_is_refused(encoded, noise, mode):
    """Pixels that are all there are decoded as they are, whatever stands behind them."""
    image = Image.fromarray(noise(60, 80)).convert(mode)
    data = encoded(image, "png")
    end = data.index(b"IEND") - 4
    for kept in range(40, end, max(1, end // 40)):
        assert refused(data[:kept] + bytes(len(data) - kept)) in {"corrupt", "truncated"}
    np.testing.assert_array_equal(decode(data[:end] + bytes(12)), decode(data))


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_colours_is_refused(encoded, noise, kind):
    data = encoded(Image.fromarray(noise()).quantize(16), "png", transparency=3)
    offset = data.index(kind) + 5
    with raises(Unreadable, "image.corrupt"):
        decode(data[:offset] + bytes([data[offset] ^ 16]) + data[offset + 1 :])


def test_the_wrong_checksum_is_named(encoded, noise):
    data = encoded(noise(), "png")
    offset = data.index(b"IDAT") - 4
    with raises(Unreadable, "image.corrupt", chunk="IDAT", offset=offset):
        decode(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])


def test_damage_in_a_text_leaves_the_image(noise):
    note = chunk(b"tEXt", b"note\0something")
    whole = png(noise(4, 4), COLOUR, after=note)
    np.testing.assert_array_equal(decode(whole.replace(b"something", b"somewhere")), decode(whole))


@pytest.mark.parametrize(
    "data",
    [
        tiff(np.zeros((1, 2, 3), np.uint8), CIELAB, 8),
        b"\0\0\0\x18ftypheic" + bytes(100),
        b"\xff\x0a" + bytes(100),
        b"8BPS\0\1" + bytes(100),
        png(np.zeros((4, 4, 3)), COLOUR, first=chunk(b"CgBI", bytes(4))),
    ],
    ids=[
        "CIELAB",
        "HEIC",
        "JPEG XL",
        "Photoshop",
        "PNG of Apple",
    ],
)
def test_a_sound_file_of_a_kind_without_a_rule_is_unsupported(data):
    assert refused(data) == "unsupported"


@pytest.mark.parametrize(
    "start", [b"\x89PNG\r\n\x1a\n", b"II*\0", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x1cftypavif"]
)
def test_a_known_beginning_with_nonsense_behind_it_is_no_other_kind_of_file(start):
    assert refused(start + b"nonsense" * 20) in {"corrupt", "truncated"}


@lru_cache(maxsize=1)
def endless():
    return zlib.compress(bytes(150_000_000))


def inflating(kind):
    """A PNG with a text of 150 MB, in 150 kB."""
    text = endless()
    held = {b"zTXt": b"note\0\0" + text, b"iTXt": b"note\0\1\0\0\0" + text, b"iCCP": b"profile\0\0" + text}[kind]
    return png(np.full((4, 4, 3), 9), COLOUR, 8, before=chunk(kind, held))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_inflates_without_end_is_not_inflated(kind):
    data = inflating(kind)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(data) == "too large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def webp_that_says(width, height):
    canvas = struct.pack("<I", 0x02) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        png(np.zeros((1, 1, 1)), GREY, 8).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)),
        ),
        tiff(np.zeros((1, 1, 1), np.uint8), BLACK_IS_ZERO, 8, more={256: [100_000], 257: [100_000], 278: [100_000]}),
        b"P6 100000 100000 255 " + bytes(10),
        webp_that_says(16_383, 16_383),
    ],
    ids=["png", "tiff", "ppm", "webp"],
)
def test_a_bomb_is_refused_by_its_header(data):
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(data) in {"too large", "corrupt"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


@pytest.mark.parametrize(("limit", "at_once"), [(10**9, {2, 3, 4}), (10, {1})])
def test_large_images_are_decoded_one_at_a_time(encoded, noise, monkeypatch, limit, at_once):
    inside, most = [], []

    def slow(image, data):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return to_rgb(image, data)

    # The package's `decode` is the function.
    module = sys.modules[decode.__module__]
    to_rgb = module.to_rgb
    monkeypatch.setattr(module, "to_rgb", slow)
    monkeypatch.setattr(module, "LARGE_PIXELS", limit)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [encoded(noise())] * 4))
    assert max(most) in at_once
