"""From numbers of any type to levels of 8 bits, and the compositing of transparency on white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import Unreadable

_DEEP_BITS, _FEW_BITS = 16, 12
_OR_BITS = f" (`pixels: {{bits: {_FEW_BITS}}}` if the camera has {_FEW_BITS})"


def levels(values: NDArray[Any], bits: int) -> tuple[NDArray[np.uint8], str]:
    """Numbers of an image as levels from 0 to 255, of the same shape, and what had to be assumed ("" for nothing).

    Whole numbers are scaled by the largest number of their depth, which is 16 bits at most, floats in [0, 1] by 255. An
    image with larger or negative values is scaled from its smallest value to its largest.

    Args:
        values: at least two-dimensional; 8-bit levels are returned as they are.
        bits: of a whole number.

    Raises:
        Unreadable: for floats that are NaN or infinite.
    """
    if values.dtype == np.uint8 and bits == 8:
        return values, ""
    low, high = extremes(values)
    full = 1.0 if values.dtype.kind == "f" else float(2 ** min(bits, 16) - 1)
    if low >= 0.0 and high <= full:
        # A camera's 12 bits in a container of 16 come out nearly black.
        few = bits == _DEEP_BITS and values.dtype.kind != "f" and 0 < high < 2**_FEW_BITS
        assumed = f"read as 16 bits, although no value is above {high:g}{_OR_BITS}" if few else ""
        low, high = 0.0, full
    else:
        declared = f"`value_range: [{low:g}, {high:g}]`"
        assumed = (
            f"values from {low:g} to {high:g} stretched to black and white ({declared} does so for all images alike)"
        )
    return scaled(values, low, high), assumed


def upper_bytes_in_words(upper: NDArray[np.uint8]) -> str:
    """What is assumed of colours of 16 bits that are read by their upper bytes: as for grey, that they need 16."""
    few = 0 < upper.max() < 2 ** (_FEW_BITS - 8)
    return f"read as 16 bits, although no value needs more than {_FEW_BITS}{_OR_BITS}" if few else ""


def scaled(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Numbers as levels: linear from black to white, values outside clipped, rounded to the nearest level.

    Args:
        values: finite, at least two-dimensional.
        black: the value that becomes 0.
        white: the value that becomes 255; the same value as `black` makes every level 0. It may be the smaller one.
    """
    factor = 255.0 / (white - black) if white != black else 1.0
    result = np.empty(values.shape, np.uint8)
    # Row by row, because in float64 an image of the largest size would be 1.4 GB.
    for line, row in zip(result.reshape(-1, values.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True):
        line[:] = np.clip(np.rint((row.astype(np.float64) - black) * factor), 0, 255)
    return result


def extremes(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest value.

    Raises:
        Unreadable: for floats that are NaN or infinite.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise Unreadable("corrupt", "floating-point pixels that are NaN or infinite")
    return low, high


def over_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8], *, is_associated: bool) -> NDArray[np.uint8]:
    """Colours composited on white, by c·α + (1 − α) with α in [0, 1], rounded to the nearest level.

    Args:
        colours: levels of any shape.
        alpha: levels that broadcast to it.
        is_associated: whether the colours are multiplied by alpha already.
    """
    share = alpha.astype(np.float32) / 255
    front = colours.astype(np.float32) if is_associated else colours * share
    return np.rint(np.clip(front + 255 * (1 - share), 0, 255)).astype(np.uint8)
