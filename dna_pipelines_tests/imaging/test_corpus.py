"""Every format in every layout, decoded by two decoders; and damaged in every way.

A second decoder may round colour conversions and chroma differently, so thumbnails are compared.
"""

import contextlib
import io
import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode, decode_with_info
from dna_pipelines_tests.imaging.corpus import COLOUR, corpus, damaged
from dna_pipelines_tests.raising import raises

DAMAGES = ("bit", "cut", "zeroed tail", "zeroed sector", "other sector")
SURE = {
    # Where what is accepted has the pixels of the undamaged file; a file that is cut is never taken for a whole one.
    "png": DAMAGES,
    "jpeg": ("cut", "zeroed tail"),
    "jpeg2000": ("cut", "zeroed tail"),
    "gif": ("cut",),
    "webp": ("cut",),
    "avif": ("cut",),
    "bmp": ("cut",),
    "tga": ("cut",),
    "ppm": ("cut",),
    "tiff": ("cut",),
}
FLAGGED = ("webp", "avif")
"""The formats of which zeros in place of a longer tail are remarked on."""


def thumbnail(rgb, edge=8):
    """Means of tiles: (rows, columns, 3) floats."""
    height, width = (size // edge * edge for size in rgb.shape[:2])
    tiles = rgb[:height, :width].astype(float).reshape(height // edge, edge, width // edge, edge, 3)
    return tiles.mean(axis=(1, 3))


def rgb_of(samples):
    """Samples of another decoder, (height, width) or (height, width, 1 to 4), as RGB by the rules of docs/decoding.md."""
    samples = np.atleast_3d(samples)
    n_bands = samples.shape[2]
    if samples.dtype == bool:
        samples = samples * np.uint8(255)
    if samples.dtype == np.uint16:
        samples = np.rint(samples / 257) if n_bands == 1 else samples >> 8
    colours = samples[..., : 1 if n_bands < 3 else 3].astype(float)
    if n_bands in (2, 4):
        colours = 255 + (colours - 255) * (samples[..., -1:] / 255)
    return np.broadcast_to(colours, (*samples.shape[:2], 3))


def by_imagecodecs(file):
    imagecodecs = pytest.importorskip("imagecodecs")
    if file.format == "tiff":
        return by_tifffile(file.data)
    decoders = {
        "png": imagecodecs.png_decode,
        "jpeg": imagecodecs.jpeg8_decode,
        "webp": imagecodecs.webp_decode,
        "avif": imagecodecs.avif_decode,
        "jpeg2000": imagecodecs.jpeg2k_decode,
        "gif": lambda data: imagecodecs.gif_decode(data, index=0),
        "bmp": imagecodecs.bmp_decode,
    }
    if file.format not in decoders or "inks" in file.name:
        return None
    return rgb_of(decoders[file.format](file.data))


def by_tifffile(data):
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        values = page.asarray()
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        inks = values.astype(float)
        return (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        return (page.colormap[:, values] >> 8).transpose(1, 2, 0).astype(float)
    rgb = rgb_of(values)
    return 255 - rgb if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE else rgb


def by_opencv(file):
    cv2 = pytest.importorskip("cv2")
    # OpenCV gives the colours of a TIFF with alpha multiplied by it.
    if "inks" in file.name or (file.format == "tiff" and "alpha" in file.name):
        return None
    samples = cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        return None
    if samples.ndim == 3:
        order = [2, 1, 0, 3][: samples.shape[2]]
        samples = samples[..., order]
    return rgb_of(samples)


@pytest.mark.parametrize("second", [by_imagecodecs, by_opencv])
def test_two_decoders_agree(second):
    compared, differing = Counter(), {}
    for file in corpus():
        other = second(file)
        if other is None:
            continue
        compared[file.format] += 1
        ours = decode(file.data)
        if ours.shape != other.shape or np.abs(thumbnail(ours) - thumbnail(other)).max() > (
            0.6 if file.is_exact else 3
        ):
            differing[file.name] = (ours.shape, other.shape)
    assert differing == {}
    assert len(compared) >= 6
    assert sum(compared.values()) > 60


@pytest.mark.parametrize(("n_times", "seed"), [(1, 1), pytest.param(60, 2, marks=pytest.mark.campaign)])
def test_what_is_accepted_in_spite_of_damage_has_the_same_pixels(n_times, seed, capfd):
    chance, silent, n_refused = random.Random(seed), [], Counter()
    for file in corpus():
        sound = decode(file.data)
        for how in DAMAGES:
            for _ in range(n_times):
                data = damaged(file.data, how, chance)
                try:
                    pixels, info = decode_with_info(data)
                except Unreadable:
                    n_refused[how] += 1
                    continue
                if pixels.shape == sound.shape and (pixels == sound).all():
                    continue
                is_flagged = bool(info.assumed)
                zeros = len(data) - len(data.rstrip(b"\0"))
                if how in SURE[file.format] or (how == "zeroed tail" and file.format in FLAGGED and zeros >= 64):
                    silent += [] if is_flagged else [(file.name, how)]
    assert silent == []
    assert all(n_refused[how] for how in DAMAGES)
    capfd.readouterr()  # libtiff writes its warnings there


def test_a_progressive_jpeg_without_its_last_scans():
    """Each scan of one refines the whole image, so that a file that ends between two looks whole."""
    [file] = [file for file in corpus() if file.name == "jpeg, colour, progressive"]
    scans = [at for at in range(len(file.data)) if file.data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for cut in scans[1:]:
        with pytest.raises(Unreadable) as caught:
            decode(file.data[:cut])
        assert caught.value.reason == "truncated"
    # Without its end marker alone it is whole.
    np.testing.assert_array_equal(decode(file.data[:-2]), decode(file.data))


@pytest.mark.parametrize("name", ["jpeg, grey", "jpeg2000, grey, codestream"])
@pytest.mark.parametrize("tail", [0, 1], ids=["cut", "zeros"])
def test_a_file_that_ends_in_or_behind_its_header(name, tail):
    [file] = [file for file in corpus() if file.name == name]
    sound = decode(file.data)
    for at in range(1, min(len(file.data), 400)):
        with contextlib.suppress(Unreadable):
            np.testing.assert_array_equal(decode(file.data[:at] + bytes(tail * (len(file.data) - at))), sound)


@pytest.mark.parametrize("bit", range(8))
def test_a_chunk_of_png_that_lost_its_name(bit):
    """Without its transparency or its orientation the image would be another."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).quantize(16).save(buffer, "png", transparency=3, exif=exif)
    for name in (b"tRNS", b"eXIf"):
        data = bytearray(buffer.getvalue())
        data[data.index(name) + 1] ^= 1 << bit
        with raises(Unreadable, "image.corrupt"):
            decode(bytes(data))
