"""Files that people did not mean to give: damaged images, bombs, odd names, and what is no image at all."""

import io
import struct
import zlib
from functools import lru_cache
from itertools import count

import numpy as np
from PIL import Image

from dna_pipelines_tests.imaging.crafting import BLACK_IS_ZERO, COLOUR, GREY, chunk, png, tiff

REASONS = {"empty", "not an image", "unsupported", "truncated", "corrupt", "too large"}
"""The reasons for which a file that can be read is quarantined."""


def encoded(image, kind, **settings):
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def originals():
    """Sound images of every format and of the common layouts: suffix and bytes."""
    # Shapes and texture, so that every part of an encoder has something to do.
    y, x = np.mgrid[0:48, 0:64]
    planes = [128 + 90 * np.sin(x / 9 + phase) * np.cos(y / 7) + 30 * ((x + y * phase) % 16 > 8) for phase in range(3)]
    pixels = np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    colour = Image.fromarray(pixels)
    grey = colour.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    alpha = colour.copy()
    alpha.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    frames = {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}
    return (
        ("png", encoded(colour, "png")),
        ("png", encoded(deep, "png")),
        ("png", encoded(alpha, "png")),
        ("png", encoded(colour.quantize(16), "png", transparency=0)),
        ("png", encoded(colour, "png", **frames)),
        ("png", png(pixels, COLOUR, interlaced=True)),
        ("jpg", encoded(colour, "jpeg", exif=exif)),
        ("jpg", encoded(colour, "jpeg", progressive=True)),
        ("jpg", encoded(grey, "jpeg", restart_marker_blocks=4)),
        ("jpg", encoded(colour.convert("CMYK"), "jpeg")),
        ("jpg", encoded(colour, "mpo", **frames)),
        ("gif", encoded(colour, "gif")),
        ("gif", encoded(colour, "gif", **frames)),
        ("bmp", encoded(colour, "bmp")),
        ("bmp", encoded(colour.quantize(16), "bmp")),
        ("webp", encoded(colour, "webp")),
        ("webp", encoded(alpha, "webp", lossless=True)),
        ("webp", encoded(colour, "webp", **frames)),
        ("avif", encoded(colour, "avif")),
        ("jp2", encoded(colour, "jpeg2000")),
        ("tif", encoded(colour, "tiff")),
        ("tif", encoded(colour, "tiff", compression="tiff_lzw")),
        ("tif", encoded(colour, "tiff", compression="tiff_deflate", tiffinfo=exif)),
        ("tif", encoded(deep, "tiff")),
        ("tif", tiff(pixels.astype(np.uint16) * 257, 2, 16, big=True)),
        ("ppm", encoded(colour, "ppm")),
        ("pgm", encoded(grey, "ppm")),
        ("tga", encoded(colour, "tga", compression="tga_rle")),
    )


def mutated(data, chance):
    """Bytes set, put in and taken out, the end cut off, a number blown up, or another file's tail."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # Half of the changes hit the first bytes, where headers are.
        offset = chance.randrange(chance.choice((len(data), min(len(data), 80))))
        match chance.randrange(6):
            case 0 | 1:
                data[offset] = chance.randrange(256)
            case 2:
                data[offset:offset] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                del data[max(offset, 1) : max(offset, 1) + chance.choice((1, 8, len(data)))]
            case 4:
                width = chance.choice((2, 4))
                data[offset : offset + width] = chance.choice((b"\xff", b"\x7f", b"\0", b"\x80")) * width
            case 5:
                other = chance.choice(originals())[1]
                data[offset:] = other[offset:]
        if len(data) < 2:
            break
    return bytes(data)


def bombs():
    """Small files that say they are huge, or that inflate to it."""

    def png_of(width, height, kind=GREY):
        header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
        body = zlib.compress(bytes(1_000_000))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")

    def patched(data, at, layout, *numbers):
        end = at + struct.calcsize(layout)
        return data[:at] + struct.pack(layout, *numbers) + data[end:]

    dot, text = Image.new("RGB", (8, 8)), zlib.compress(bytes(50_000_000))
    jpeg = encoded(dot, "jpeg")
    webp = b"WEBPVP8X" + struct.pack("<II", 10, 2) + (16_382).to_bytes(3, "little") * 2
    return (
        ("png", png_of(100_000, 100_000)),
        ("png", png_of(2**31 - 1, 2**31 - 1)),
        ("png", png_of(200_000_000, 1, COLOUR)),
        ("png", png(np.zeros((4, 4, 3)), COLOUR, before=chunk(b"zTXt", b"note\0\0" + text))),
        ("png", png(np.zeros((4, 4, 3)), COLOUR, before=chunk(b"iCCP", b"note\0\0" + text))),
        ("jpg", patched(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", 65_000, 65_000)),
        ("gif", patched(encoded(dot, "gif"), 6, "<HH", 65_000, 65_000)),
        ("bmp", patched(encoded(dot, "bmp"), 18, "<ii", 2_000_000_000, 2_000_000_000)),
        ("tif", tiff(np.zeros((1, 1, 1), np.uint8), BLACK_IS_ZERO, 8, more={256: [100_000], 257: [100_000]})),
        ("webp", b"RIFF" + struct.pack("<I", len(webp)) + webp),
        ("ppm", b"P6 100000 100000 255\n" + bytes(64)),
        ("tga", patched(encoded(dot, "tga"), 12, "<HH", 65_535, 65_535)),
    )


def no_images():
    """Empty files, text, and other kinds of files, with the reason that each must get."""
    return (
        (b"", "empty"),
        (b"\n", "not an image"),
        (b"hello\n", "not an image"),
        (b"<html><body>404 Not Found</body></html>", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image"),
        (b"%PDF-1.7\n", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\x7fELF" + bytes(60), "not an image"),
        (bytes(4096), "not an image"),
        (b"PK\x03\x04" + bytes(26), "not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "unsupported"),
    )


ODD_NAMES = (
    b"it's \"quoted\"", b"new\nline", b"\ttab\r", b" leading and trailing ", b"caf\xe9", b"\xff\xfe\x80", b"-rf",
    b"semi;colon' OR 1=1; DROP TABLE images; --", b"%2e%2e%2f", b"#frag?query=1&x", b"[a-z]*{b,c}", b"$(touch x)`id`",
    "中文 日本".encode(), "e\u0301 and \u202egpj".encode(), "\U0001f600".encode(), b"x" * 240, b"back\\slash", b"..hidden", b".",
)  # fmt: skip


def hostile_files(n_files, chance):
    """`n_files` files: (name without suffix and folder, suffix, bytes, the outcome that it must have or None).

    A quarter of their names are odd. `decoded` is an outcome; the others are reasons.
    """
    numbers = count()
    fixed = [(suffix, data, "decoded") for suffix, data in originals()]
    fixed += [(suffix, data, None) for suffix, data in bombs()]
    fixed += [(chance.choice(("png", "jpg", "tif")), data, reason) for data, reason in no_images()]
    for index in range(n_files):
        number = next(numbers)
        if index < len(fixed):
            suffix, data, outcome = fixed[index]
        else:
            suffix, data = chance.choice(originals())
            data, outcome = mutated(data, chance), None
        name = b"%d" % number
        if number % 4 == 0:
            name = ODD_NAMES[number // 4 % len(ODD_NAMES)] + name
        yield name, suffix.encode(), data, outcome
