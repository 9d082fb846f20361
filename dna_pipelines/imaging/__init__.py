"""From the bytes of an image to the array that a network sees, without torch.

This package holds the decoding rules and the preprocessing. Reading bytes is not its task.
"""

from dna_pipelines.imaging.decode import ImageInfo, decode, decode_known, decode_with_info, n_pages
from dna_pipelines.imaging.preprocess import Interpolation, Preprocessing, Resize, pillow_resize
from dna_pipelines.imaging.reading import BY_RULES, Encoded, FileRead, Reading, encoded

RULES = 3
"""The version of the rules of decoding. Raise it when they change: files that were quarantined under other rules are
decoded again, and so are images of the formats in `CHANGED`."""

CHANGED = {"TGA": 3, "TIFF": 3, "JPEG2000": 3, "WEBP": 3}
"""By format, the rules that last changed the pixels of images that were accepted before, or refused some of them."""

__all__ = [
    "BY_RULES", "CHANGED", "RULES", "Encoded", "FileRead", "ImageInfo", "Interpolation", "Preprocessing", "Reading",
    "Resize", "decode", "decode_known", "decode_with_info", "encoded", "n_pages", "pillow_resize",
]  # fmt: skip
