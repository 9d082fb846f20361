"""Handwritten digits in thirteen variants that a classifier carries over between, or does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

EDGE_PX, INNER_PX = 32, 24
"""Of an image, and of the digit in its middle."""

_CENTRE = np.arange(EDGE_PX) - (EDGE_PX - 1) / 2


def grey(digit: np.ndarray) -> np.ndarray:
    """(EDGE_PX, EDGE_PX) from 0 to 255, of scikit-learn's 8 x 8 from 0 to 16."""
    large = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8)).resize(
        (INNER_PX, INNER_PX), Image.Resampling.BICUBIC
    )
    return np.pad(np.asarray(large, float), (EDGE_PX - INNER_PX) // 2)


def _rotated(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ndimage.rotate(digit, rng.choice([-1, 1]) * rng.uniform(25, 45), reshape=False, order=1)


def _coloured(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of one random colour on another, as far apart in grey as may be."""
    ground, ink = rng.uniform(0, 110, 3), rng.uniform(130, 255, 3)
    return ground + digit[..., None] / 255 * (ink - ground)


def _textured(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=digit.shape), 1.5, mode="wrap")
    return np.maximum(digit, 110 + 60 * field / field.std())


def _occluded(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = rng.integers(6, EDGE_PX - 16, 2)
    hidden = digit.copy()
    hidden[top : top + 10, left : left + 10] = 128
    return hidden


def _elastic(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    moves = [ndimage.gaussian_filter(rng.normal(size=digit.shape), 4, mode="wrap") for _ in range(2)]
    rows, columns = np.indices(digit.shape)
    coordinates = [rows + 2.5 * moves[0] / moves[0].std(), columns + 2.5 * moves[1] / moves[1].std()]
    return ndimage.map_coordinates(digit, coordinates, order=1)


def _small(digit: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    edge = 18
    small = Image.fromarray(digit.clip(0, 255).astype(np.uint8)).resize((edge, edge), Image.Resampling.BOX)
    return np.pad(np.asarray(small, float), (EDGE_PX - edge) // 2)


VARIANTS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "original": lambda digit, _rng: digit,
    "inverted": lambda digit, _rng: 255 - digit,
    "blurred": lambda digit, _rng: ndimage.gaussian_filter(digit, 2.0),
    "noisy": lambda digit, rng: digit + rng.normal(0, 60, digit.shape),
    "rotated": _rotated,
    "thick": lambda digit, _rng: ndimage.grey_dilation(digit, (4, 4)),
    "coloured": _coloured,
    "textured": _textured,
    "shifted": lambda digit, rng: np.roll(digit, rng.choice([-4, -3, 3, 4], 2), axis=(0, 1)),
    "low contrast": lambda digit, _rng: 90 + 0.25 * digit,
    "occluded": _occluded,
    "elastic": _elastic,
    "small": _small,
}


def varied(digits: np.ndarray, variant: str, rng: np.random.Generator) -> np.ndarray:
    """(n, EDGE_PX, EDGE_PX, 3) uint8, of (n, 8, 8) digits."""
    made = (VARIANTS[variant](grey(digit), rng) for digit in digits)
    colours = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1) for image in made]
    return np.rint(np.stack(colours)).clip(0, 255).astype(np.uint8)


def inputs(images: np.ndarray) -> np.ndarray:
    """What a classifier gets: (n, 256), grey levels of 16 x 16 means, from 0 to 1."""
    means = images.reshape(len(images), EDGE_PX // 2, 2, EDGE_PX // 2, 2, 3).mean(axis=(2, 4, 5))
    return means.reshape(len(images), -1) / 255
