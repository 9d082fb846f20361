"""JPEG: the pixels are Pillow's to the bit, and data that are missing do not come out grey."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines.imaging import jpeg as module
from dna_pipelines_tests.imaging.crafting import joined, segments

START_OF_FRAME, START_OF_SCAN, ADOBE = 0xC0, 0xDA, 0xEE


def photo(size=(97, 61), mode="RGB"):
    """Smooth, with edges: noise alone would hide differences in how chroma is scaled up."""
    x, y = np.meshgrid(np.linspace(0, 9, size[0]), np.linspace(0, 7, size[1]))
    planes = [np.sin(x * y + phase) * 90 + 128 + 60 * (x + phase > y) - 30 for phase in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)).convert(mode)


def by_pillow(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def refused(data):
    with pytest.raises(Unreadable) as caught:
        decode(data)
    return caught.value.reason


@pytest.fixture
def fast(monkeypatch):
    """How many images were decoded without Pillow."""
    done = []
    original = module.simplejpeg.decode_jpeg
    monkeypatch.setattr(module.simplejpeg, "decode_jpeg", lambda *args: done.append(1) or original(*args))
    return done


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 17), (97, 61), (128, 96)])
@pytest.mark.parametrize("quality", [30, 95])
def test_the_pixels_are_those_of_pillow(encoded, fast, subsampling, progressive, size, quality):
    data = encoded(photo(size), "jpeg", quality=quality, subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(decode(data), by_pillow(data))
    assert fast


@pytest.mark.parametrize(
    "settings",
    [{"restart_marker_blocks": 3}, {"keep_rgb": True}, {"optimize": True}, {"dpi": (300, 300)}, {"comment": b"hello"}],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_so_are_those_of_other_layouts(encoded, fast, mode, settings):
    data = encoded(photo(mode=mode), "jpeg", **settings)
    np.testing.assert_array_equal(decode(data), by_pillow(data))
    assert fast


def test_ycck_becomes_its_colours(encoded):
    """Adobe's transform 2: the inks' colours are stored as YCbCr."""
    data = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 51)), "jpeg", quality=100, subsampling=0)
    pieces = segments(data)
    adobe = next(piece for marker, piece in pieces if marker == ADOBE)
    assert adobe[-1] == 0
    # Adobe stores the complement of the inks: 255, 255, 255 and 204. Read as YCbCr, the first three are a
    # colour, whose complement libjpeg takes for the stored inks.
    turned = joined([(marker, piece[:-1] + b"\2" if marker == ADOBE else piece) for marker, piece in pieces])
    colour = np.clip(255 + 127 * np.array([1.402, -0.34414 - 0.71414, 1.772]), 0, 255)
    expected = (255 - colour) * 204 / 255
    np.testing.assert_allclose(decode(turned)[0, 0], expected, atol=2)


def test_extra_bytes_between_segments_are_no_fault(encoded):
    """Many cameras leave some before the end, which libjpeg warns of."""
    data = encoded(photo(), "jpeg")
    np.testing.assert_array_equal(decode(data[:-2] + bytes(20) + data[-2:]), decode(data))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_truncated_data_that_were_closed_again_are_refused(encoded, mode, progressive, share):
    data = encoded(photo((200, 160), mode), "jpeg", progressive=progressive)
    closed = data[: int(len(data) * share)] + b"\xff\xd9"
    assert refused(closed) == "truncated"


def test_pillow_alone_would_pad_them_with_grey(encoded):
    """Why its word is not enough."""
    data = encoded(photo((200, 160)), "jpeg")
    decoded = by_pillow(data[: len(data) // 2] + b"\xff\xd9")
    assert (decoded[-8:] == decoded[-1, -1]).all()


def test_truncated_data_are_refused(encoded):
    data = encoded(photo(), "jpeg")
    assert refused(data[: len(data) // 2]) == "truncated"


@pytest.mark.parametrize("tail", [b"", bytes(1), bytes(4096)], ids=["cut off", "a zero", "zeros"])
@pytest.mark.parametrize("seed", range(8))
def test_without_its_end_marker_alone_an_image_is_whole(encoded, noise, tail, seed):
    """Some of these end in the byte 0xFF, which is stored with a zero behind it."""
    data = encoded(noise(24 + seed, 40, seed), "jpeg", quality=90)
    np.testing.assert_array_equal(decode(data[:-2] + tail), decode(data))


SETTINGS = [
    {}, {"subsampling": "4:4:4", "quality": 95}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 0.95])
def test_zeros_in_place_of_the_tail_are_not_decoded(encoded, settings, mode, share):
    """Zeros are code words, too: a file whose download stopped can decode to the last row."""
    data = encoded(photo((320, 240), mode), "jpeg", **settings)
    kept = int(len(data) * share)
    assert refused(data[:kept] + bytes(len(data) - kept)) == "truncated"


def test_surplus_bytes_within_the_pixel_data_are_damage(encoded):
    data = encoded(photo((320, 240)), "jpeg", restart_marker_rows=2)
    offset = data.index(b"\xff\xd2")
    assert refused(data[:offset] + bytes(range(1, 40)) + data[offset:]) == "corrupt"


def with_frame(jpeg, change):
    return joined([(marker, change(piece) if marker == START_OF_FRAME else piece) for marker, piece in segments(jpeg)])


def test_12_bits_a_value_are_refused(encoded):
    data = with_frame(encoded(photo(), "jpeg"), lambda frame: frame[:4] + b"\x0c" + frame[5:])
    assert refused(data) in {"corrupt", "unsupported"}


def test_a_second_header_does_not_outwit_the_size_check(encoded):
    """Two frame headers, the second of which is small: no decoder may allocate the first."""
    pieces = segments(encoded(photo((16, 16)), "jpeg"))
    frame = next(piece for marker, piece in pieces if marker == START_OF_FRAME)
    huge = frame[:5] + struct.pack(">HH", 60_000, 60_000) + frame[9:]
    at = next(index for index, (marker, _) in enumerate(pieces) if marker == START_OF_FRAME)
    for order in ([huge, frame], [frame, huge]):
        assert refused(joined([*pieces[:at], *((START_OF_FRAME, one) for one in order), *pieces[at + 1 :]])) in {
            "corrupt",
            "too large",
        }


def test_a_progressive_image_of_endless_scans_is_refused(encoded):
    pieces = segments(encoded(photo(), "jpeg", progressive=True))
    last = max(index for index, (marker, _) in enumerate(pieces) if marker == START_OF_SCAN)
    assert refused(joined(pieces + [pieces[last]] * module.MAX_SCANS)) == "too large"
    np.testing.assert_array_equal(decode(joined(pieces)), by_pillow(joined(pieces)))
