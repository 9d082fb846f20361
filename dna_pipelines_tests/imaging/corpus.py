"""A small corpus: every format in every layout that its writers offer, and the ways in which files get damaged."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from dna_pipelines_tests.imaging import crafting

HEIGHT, WIDTH = 40, 56


class File(NamedTuple):
    """One file; `is_exact` says that its format keeps every sample."""

    name: str
    format: str
    data: bytes
    is_exact: bool


def _pixels():
    """Shapes and texture, so that every part of an encoder has something to do: (height, width, 3) uint8."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [128 + 80 * np.sin(x / 9 + phase) * np.cos(y / 7) + 40 * ((x + y * phase) % 16 > 8) for phase in range(3)]
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


COLOUR = _pixels()
GREY = COLOUR[..., 1]
ALPHA = np.where(np.arange(WIDTH) < WIDTH // 2, 255, 100).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
DEEP = (COLOUR.astype(np.uint16) << 8) + COLOUR[::-1]


def _modes():
    colour, grey, alpha = Image.fromarray(COLOUR), Image.fromarray(GREY), Image.fromarray(ALPHA)
    layered, grey_alpha = colour.copy(), grey.convert("LA")
    layered.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    return {
        "colour": colour,
        "grey": grey,
        "black and white": grey.point(lambda level: 255 * (level > 127)).convert("1"),
        "palette": colour.quantize(32),
        "colour, alpha": layered,
        "grey, alpha": grey_alpha,
        "deep grey": Image.fromarray(DEEP[..., 1]),
        "inks": colour.convert("CMYK"),
    }


_WRITTEN = {
    # format: (whether it keeps every sample, modes, settings by name)
    "png": (
        True,
        ("colour", "grey", "black and white", "palette", "colour, alpha", "grey, alpha", "deep grey"),
        {"": {}, "uncompressed": {"compress_level": 0}},
    ),
    "jpeg": (
        False,
        ("colour", "grey", "inks"),
        {
            "": {"quality": 90},
            "4:4:4": {"quality": 90, "subsampling": 0},
            "progressive": {"quality": 90, "progressive": True},
            "restarts": {"quality": 90, "restart_marker_blocks": 3},
        },
    ),
    "gif": (True, ("grey", "black and white", "palette"), {"": {}, "interlaced": {"interlace": 1}}),
    "bmp": (True, ("colour", "grey", "black and white", "palette"), {"": {}}),
    "webp": (False, ("colour", "colour, alpha"), {"": {"quality": 90}}),
    "lossless webp": (True, ("colour", "colour, alpha"), {"": {"lossless": True, "exact": True}}),
    "avif": (False, ("colour", "grey", "colour, alpha"), {"": {"quality": 90}}),
    "jpeg2000": (
        True,
        ("colour", "grey", "colour, alpha", "deep grey"),
        {"": {}, "codestream": {"no_jp2": True}, "tiles": {"tile_size": (28, 20)}},
    ),
    "ppm": (True, ("colour", "grey", "black and white", "deep grey"), {"": {}}),
    "tga": (True, ("colour", "grey", "palette", "colour, alpha"), {"": {}, "packed": {"compression": "tga_rle"}}),
    "tiff": (
        True,
        ("colour", "grey", "black and white", "palette", "colour, alpha", "grey, alpha", "deep grey", "inks"),
        {
            "": {},
            **{name: {"compression": f"tiff_{name}"} for name in ("lzw", "adobe_deflate")},
            "packbits": {"compression": "packbits"},
        },
    ),
}


def _crafted():
    """What Pillow does not write."""
    deep_alpha = np.dstack([DEEP, ALPHA.astype(np.uint16) * 257])
    yield File("png, colour, interlaced", "png", crafting.png(COLOUR, crafting.COLOUR, interlaced=True), True)
    yield File("png, deep colour", "png", crafting.png(DEEP, crafting.COLOUR, 16), True)
    yield File("png, deep colour, alpha", "png", crafting.png(deep_alpha, crafting.COLOUR_ALPHA, 16), True)
    for order in "<>":
        name = {"<": "little-endian", ">": "big-endian"}[order]
        yield File(f"tiff, deep colour, {name}", "tiff", crafting.tiff(DEEP, 2, 16, order=order), True)
        whites = crafting.tiff(255 - GREY[..., None], crafting.WHITE_IS_ZERO, 8, order=order)
        yield File(f"tiff, grey, white is 0, {name}", "tiff", whites, True)
    yield File("bigtiff, colour", "tiff", crafting.tiff(COLOUR, 2, 8, big=True), True)


@lru_cache(maxsize=1)
def corpus():
    """All files."""
    modes, files = _modes(), []
    for kind, (is_exact, names, ways) in _WRITTEN.items():
        for mode in names:
            for way, settings in ways.items():
                buffer, format_name = io.BytesIO(), kind.rpartition(" ")[2]
                modes[mode].save(buffer, format_name, **settings)
                files.append(File(", ".join(filter(None, (kind, mode, way))), format_name, buffer.getvalue(), is_exact))
    return (*files, *_crafted())


def damaged(data, how, chance):
    """A damaged copy: a flipped bit, a lost end, an end or a sector of zeros, or a sector of another file."""
    data, at = bytearray(data), chance.randrange(len(data))
    match how:
        case "bit":
            data[at] ^= 1 << chance.randrange(8)
        case "cut":
            del data[max(at, 1) :]
        case "zeroed tail":
            data[at:] = bytes(len(data) - at)
        case "zeroed sector":
            data[at : at + 64] = bytes(len(data[at : at + 64]))
        case "other sector":
            data[at : at + 64] = chance.randbytes(len(data[at : at + 64]))
    return bytes(data)
