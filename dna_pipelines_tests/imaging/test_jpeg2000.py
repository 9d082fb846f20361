"""JPEG 2000: what decoders do not heed, and tiles that are missing, are noticed."""

import struct

import numpy as np
import pytest

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode
from dna_pipelines_tests.raising import raises

WIDTH, HEIGHT, TILE = 97, 61, 32
N_TILES = 4 * 2
SIZE_MARKER, START_OF_TILE, END = b"\xff\x51", b"\xff\x90", b"\xff\xd9"


@pytest.fixture
def tiled(encoded, noise):
    return encoded(noise(HEIGHT, WIDTH), "jpeg2000", tile_size=(TILE, TILE))


def patched(data, offset, layout, *numbers):
    return data[:offset] + struct.pack(layout, *numbers) + data[offset + struct.calcsize(layout) :]


def with_box(data, kind, content):
    """A file with another box at the end of its header."""
    start = data.index(b"jp2h") - 4
    length = struct.unpack_from(">I", data, start)[0]
    box = struct.pack(">I4s", 8 + len(content), kind) + content
    return patched(data[: start + length] + box + data[start + length :], start, ">I", length + len(box))


@pytest.mark.parametrize(
    "settings", [{}, {"tile_size": (TILE, TILE)}, {"no_jp2": True}, {"irreversible": True}], ids=str
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sound_files_pass(encoded, noise, settings, channels):
    pixels = np.dstack([noise(HEIGHT, WIDTH), np.full((HEIGHT, WIDTH), 255, np.uint8)])[:, :, :channels].squeeze()
    found = decode(encoded(pixels, "jpeg2000", **settings))
    expected = np.repeat(pixels[:, :, None], 3, axis=2) if channels == 1 else pixels[:, :, :3]
    assert np.abs(found.astype(int) - expected).mean() < (12 if "irreversible" in settings else 1e-9)


@pytest.mark.parametrize("kept", [1, N_TILES // 2, N_TILES - 1])
def test_tiles_that_are_missing_are_noticed(tiled, kept):
    """Closed with an end marker, such a file decodes to black where tiles are missing."""
    offset = tiled.index(START_OF_TILE)
    for _ in range(kept):
        offset += struct.unpack_from(">I", tiled, offset + 6)[0]
    with raises(Unreadable, "image.truncated", n_tiles=N_TILES, n_found=kept):
        decode(tiled[:offset] + END)


def test_tiles_of_a_pixel_are_refused_before_they_are_allocated(tiled):
    offset = tiled.index(SIZE_MARKER)
    with raises(Unreadable, "image.too-large", n_tiles=WIDTH * HEIGHT):
        decode(patched(tiled, offset + 22, ">II", 1, 1))


def test_chroma_that_does_not_divide_the_width_is_unsupported(tiled):
    first_component = tiled.index(SIZE_MARKER) + 40
    with raises(Unreadable, "image.unsupported", format="JPEG2000"):
        decode(patched(tiled, first_component + 3, ">BBB", 7, 2, 1))


@pytest.mark.parametrize(("order", "is_right"), [((1, 2, 3), True), ((3, 2, 1), False)])
def test_channels_in_another_order_are_unsupported(tiled, order, is_right):
    channels = b"".join(struct.pack(">HHH", channel, 0, colour) for channel, colour in enumerate(order))
    data = with_box(tiled, b"cdef", struct.pack(">H", 3) + channels)
    if is_right:
        np.testing.assert_array_equal(decode(data), decode(tiled))
    else:
        with raises(Unreadable, "image.unsupported", format="JPEG2000"):
            decode(data)


def test_a_mapped_palette_is_unsupported(tiled):
    columns = b"".join(struct.pack(">HBB", 0, 1, column) for column in (2, 1, 0))
    with raises(Unreadable, "image.unsupported", format="JPEG2000"):
        decode(with_box(tiled, b"cmap", columns))
