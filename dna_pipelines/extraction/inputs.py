"""Network inputs: from the bytes of an image to the floats a network is fed, the fast way.

Decoding is bit for bit what Pillow gives. Resizing is torch's, whole levels of 8 bits, which differ
from Pillow's by one now and then; `docs/precision.md` says what that does to a DNA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from dna_pipelines.imaging import Interpolation, Preprocessing, decode, pillow_resize

_IN_TORCH = ("bilinear", "bicubic")


def network_input(data: bytes, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The bytes of an image file to (3, size_px, size_px) float32.

    Raises:
        Unreadable: with the reason for the quarantine.
    """
    return preprocessing(decode(data), torch_resize)


def torch_resize(rgb: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """`pillow_resize` to within one level (two in less than a millionth of a photograph), several times as fast.

    What torch has no filter for is Pillow's, and so is enlarging, where it would often come to two levels.
    """
    rows, columns = rgb.shape[:2]
    # torch 2.13 fails on some images one pixel wide or high.
    if interpolation not in _IN_TORCH or height > rows or width > columns or min(width, height) < 2:
        return pillow_resize(rgb, width, height, interpolation)
    # Pillow lends its pixels read-only, which torch warns of; nothing here writes to them.
    pixels = torch.from_numpy(rgb if rgb.flags.writeable else rgb.copy()).permute(2, 0, 1).unsqueeze(0)
    # Overshoot is cut off between the passes, so their order shows: this is Pillow's (since version 13).
    vertical_first = rows > height and rows - height > 2 * (columns - width)
    with torch.inference_mode():
        if vertical_first:
            pixels = interpolate(pixels, size=(height, columns), mode=interpolation, antialias=True)
        pixels = interpolate(pixels, size=(height, width), mode=interpolation, antialias=True)
    levels: NDArray[np.uint8] = pixels[0].permute(1, 2, 0).numpy()
    return levels


def input_key(preprocessing: Preprocessing) -> dict[str, Any]:
    """What made the inputs, and moves their last bits; part of the compute key."""
    in_torch = preprocessing.interpolation in _IN_TORCH and preprocessing.resized_as == "uint8"
    resized_by = f"torch {torch.backends.cpu.get_cpu_capability()}" if in_torch else "pillow"
    return {"resize": resized_by, "simplejpeg": simplejpeg.__version__}
