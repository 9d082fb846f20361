"""Network inputs: from the bytes of an image file to the float32 input of a network.

Decoding gives Pillow's pixels bit for bit. Resizing uses torch, which is faster than Pillow; its levels of 8 bits
sometimes differ from Pillow's by one. `docs/precision.md` says how that affects a DNA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from dna_pipelines.imaging import Encoded, Interpolation, Preprocessing, decode_known, pillow_resize

_IN_TORCH = ("bilinear", "bicubic")


def network_input(image: Encoded, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """An encoded image that a scan accepted to (3, size_px, size_px) float32.

    Raises:
        Unreadable: `image.REASON`, with the reason for the quarantine.
    """
    return preprocessing(decode_known(image), torch_resize)


def torch_resize(rgb: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Resize as `pillow_resize` does, to within one level (two in less than a millionth of a photograph), but faster.

    Pillow resizes with the filters that torch lacks, and enlarges, where torch would often differ by two levels.

    Args:
        rgb: (height, width, 3).
        width: of the result, in pixels.
        height: of the result, in pixels.
        interpolation: the filter.

    Returns:
        (height, width, 3).
    """
    rows, columns = rgb.shape[:2]
    # torch 2.13 fails on some images one pixel wide or high.
    if interpolation not in _IN_TORCH or height > rows or width > columns or min(width, height) < 2:
        return pillow_resize(rgb, width, height, interpolation)
    # Pillow's pixels are read-only, about which torch warns.
    pixels = torch.from_numpy(rgb if rgb.flags.writeable else rgb.copy()).permute(2, 0, 1).unsqueeze(0)
    # Overshoot is clipped between the passes, so their order matters: this is Pillow's (since version 13).
    vertical_first = rows > height and rows - height > 2 * (columns - width)
    with torch.inference_mode():
        if vertical_first:
            pixels = interpolate(pixels, size=(height, columns), mode=interpolation, antialias=True)
        pixels = interpolate(pixels, size=(height, width), mode=interpolation, antialias=True)
    levels: NDArray[np.uint8] = pixels[0].permute(1, 2, 0).numpy()
    return levels


def input_key(preprocessing: Preprocessing) -> dict[str, Any]:
    """What computes the inputs and affects their last bits; part of the compute key."""
    in_torch = preprocessing.interpolation in _IN_TORCH and preprocessing.resized_as == "uint8"
    resized_by = f"torch {torch.backends.cpu.get_cpu_capability()}" if in_torch else "pillow"
    return {"resize": resized_by, "simplejpeg": simplejpeg.__version__}
