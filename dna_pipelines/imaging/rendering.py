"""From stored samples to 8-bit RGB, as a reading says or, where it leaves that open, by the rules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.levels import extremes, levels, over_white, scaled, upper_bytes_in_words
from dna_pipelines.imaging.reading import Reading
from dna_pipelines.imaging.samples import Samples


class Rendered(NamedTuple):
    """An image, and what is said of it.

    Attributes:
        pixels: RGB of shape (height, width, 3).
        assumed: what the rules assumed of its values; "" for nothing.
        n_clipped: how many samples lay outside the declared range; None where none is declared.
    """

    pixels: NDArray[np.uint8]
    assumed: str
    n_clipped: int | None


def render(samples: Samples, reading: Reading) -> Rendered:
    """The image of some samples.

    Raises:
        Unreadable: `not as declared` where the reading cannot apply to them, `corrupt` for NaN and infinity.
    """
    n_bands = len(samples.planes)
    if reading.bands and max(reading.bands) > n_bands:
        raise _not_as_declared(f"it has {n_bands} bands, not {max(reading.bands)}", n_bands=n_bands)
    chosen = [band - 1 for band in reading.bands] or list(range(samples.n_colours))
    colours, assumed, n_clipped = _levels(samples.planes[chosen], samples, reading)
    if samples.is_white_zero and reading.value_range is None:
        colours = 255 - colours
    rgb = np.repeat(colours, 3, axis=0) if len(colours) == 1 else colours
    # Where the bands are declared, none of them is alpha.
    if samples.alpha is not None and not reading.bands:
        rgb = over_white(rgb, _alpha(samples.alpha, samples, reading), is_associated=samples.is_associated)
    return Rendered(np.ascontiguousarray(rgb.transpose(1, 2, 0)), assumed, n_clipped)


def _levels(planes: NDArray[Any], samples: Samples, reading: Reading) -> tuple[NDArray[np.uint8], str, int | None]:
    if reading.value_range is not None:
        extremes(planes)
        black, white = reading.value_range
        inside = (planes >= min(black, white)) & (planes <= max(black, white))
        return scaled(planes, black, white), "", int(planes.size - np.count_nonzero(inside))
    if reading.bits is not None:
        return _of_bits(planes, samples.bits, reading.bits), "", None
    # As Pillow opens them: the upper byte of colours, and of whatever has alpha.
    if planes.dtype == np.uint16 and samples.bits == 16 and (len(samples.planes) > 1 or samples.alpha is not None):
        upper = (planes >> 8).astype(np.uint8)
        return upper, upper_bytes_in_words(upper), None
    return *levels(planes, samples.bits), None


def _of_bits(planes: NDArray[Any], stored_bits: int, bits: int) -> NDArray[np.uint8]:
    if planes.dtype.kind == "f":
        raise _not_as_declared(f"its values are floating-point numbers, not {bits} bits", bits=bits)
    low, high = extremes(planes)
    if bits > stored_bits:
        raise _not_as_declared(f"its values have {stored_bits} bits, not {bits}", bits=bits, stored_bits=stored_bits)
    if low < 0 or high > 2**bits - 1:
        raise _not_as_declared(f"its values reach from {low:g} to {high:g}, not within {bits} bits", bits=bits)
    return scaled(planes, 0, 2**bits - 1)


def _alpha(alpha: NDArray[Any], samples: Samples, reading: Reading) -> NDArray[np.uint8]:
    if alpha.dtype == np.uint8:
        return alpha
    if reading.bits is not None:
        return _of_bits(alpha, samples.bits, reading.bits)
    if alpha.dtype == np.uint16 and samples.bits == 16:
        return (alpha >> 8).astype(np.uint8)
    return levels(alpha, samples.bits)[0]


def _not_as_declared(what: str, **facts: Any) -> Unreadable:
    return Unreadable("not as declared", f"{what}; see the dataset's pixels, value_range and bands", **facts)
