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

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines_tests.imaging.crafting import (
    BLACK_IS_ZERO,
    CIELAB,
    COLOUR,
    FLOAT,
    GREY,
    RGB,
    chunk,
    png,
    tiff,
)


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


def test_a_png_with_a_flipped_bit_is_refused_wherever_it_is(encoded, noise):
    """It has checksums; level 0 stores the pixels as they are, so nothing else would notice."""
    data = encoded(noise(), "png", compress_level=0)
    start = data.index(b"IDAT") + 4
    for offset in range(start, len(data) - 16, 29):
        assert refused(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        tiff(np.zeros((1, 2, 1)), BLACK_IS_ZERO, 64, sample=FLOAT),
        tiff(np.zeros((1, 2, 3), np.float32), RGB, 32, sample=FLOAT),
        tiff(np.zeros((1, 2, 2), np.uint16), BLACK_IS_ZERO, 16, extra=2),
        tiff(np.zeros((1, 2, 3), np.uint8), CIELAB, 8),
        tiff(np.zeros((1, 2, 3), np.uint8), RGB, 8, big=True, order=">"),
        b"\0\0\0\x18ftypheic" + bytes(100),
        b"\xff\x0a" + bytes(100),
        b"8BPS\0\1" + bytes(100),
    ],
    ids=[
        "float64",
        "float RGB",
        "16-bit grey with alpha",
        "CIELAB",
        "big-endian BigTIFF",
        "HEIC",
        "JPEG XL",
        "Photoshop",
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
