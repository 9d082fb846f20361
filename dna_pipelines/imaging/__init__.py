"""From the bytes of an image to the array that a network sees, without torch.

This package holds the decoding rules and the preprocessing. Reading bytes is not its task.
"""

from dna_pipelines.imaging.decode import ImageInfo, decode, decode_with_info
from dna_pipelines.imaging.preprocess import Interpolation, Preprocessing, Resize, pillow_resize

RULES = 2
"""The version of the rules that decide whether a file is a readable image. Raise it when they change, so that files
quarantined under other rules are decoded again."""

__all__ = [
    "RULES", "ImageInfo", "Interpolation", "Preprocessing", "Resize", "decode", "decode_with_info", "pillow_resize",
]  # fmt: skip
