"""Small images, encoded in memory."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def encoded():
    """The bytes of an array or a Pillow image in a format."""

    def encode(image, kind="png", **settings):
        buffer = io.BytesIO()
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **settings)
        return buffer.getvalue()

    return encode


@pytest.fixture
def noise():
    """An array of random pixels: (height, width, 3) uint8."""

    def pixels(height=20, width=24, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return pixels
