"""Damaged images are decoded or refused; nothing else comes of them."""

import random

import numpy as np
import pytest
from PIL import Image

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging import decode

REASONS = {"empty", "not an image", "unsupported", "truncated", "corrupt", "too large"}


@pytest.fixture
def originals(encoded, noise):
    colour = Image.fromarray(noise())
    grey = np.random.default_rng(1).integers(0, 65536, (20, 24)).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(colour, "png"),
        encoded(grey, "png"),
        encoded(colour.convert("RGBA"), "png"),
        encoded(colour.quantize(16), "png", transparency=0),
        encoded(colour, "jpeg", exif=exif),
        encoded(colour, "jpeg", progressive=True),
        encoded(colour.convert("CMYK"), "jpeg"),
        encoded(colour, "gif"),
        encoded(colour, "bmp"),
        encoded(colour, "webp"),
        encoded(colour, "tiff"),
        encoded(colour, "tiff", compression="tiff_lzw"),
        encoded(colour, "ppm"),
        encoded(colour, "tga"),
        encoded(colour, "jpeg2000"),
        encoded(colour, "avif"),
        encoded(colour, "webp", lossless=True),
        encoded(colour, "tiff", compression="tiff_deflate"),
        encoded(grey, "tiff"),
    ]


def mutated(data, chance):
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # Half of the changes hit the first bytes, where headers are.
        place = chance.randrange(chance.choice((len(data), min(len(data), 80))))
        match chance.randrange(4):
            case 0 | 1:
                data[place] = chance.randrange(256)
            case 2:
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                del data[max(place, 1) : max(place, 1) + chance.choice((1, 8, len(data)))]
    return bytes(data)


def outcome(data):
    try:
        pixels = decode(data)
    except Unreadable as error:
        return error.reason
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.size
    return "decoded"


@pytest.mark.parametrize(("n_images", "seed"), [(200, 1), pytest.param(2000, 2, marks=pytest.mark.campaign)])
def test_a_mutated_image_is_decoded_or_refused(originals, n_images, seed):
    chance = random.Random(seed)
    outcomes = {outcome(mutated(chance.choice(originals), chance)) for _ in range(n_images)}
    assert outcomes <= {"decoded", *REASONS}
    # The campaign is worth something only where it comes to all of these.
    assert outcomes >= {"decoded", "not an image", "truncated", "corrupt"}


def test_the_originals_are_sound(originals):
    assert {outcome(data) for data in originals} == {"decoded"}
