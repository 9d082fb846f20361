"""From the bytes of an image to the array a network sees. Without torch.

Belongs here: decoding rules and preprocessing. Does not: where bytes come from, torch.
"""

from dna_pipelines.imaging.decode import ImageInfo, decode, decode_with_info
from dna_pipelines.imaging.preprocess import Interpolation, Preprocessing, Resize, pillow_resize

RULES = 1
"""The number of the rules by which a file is taken for a readable image. It grows when they change: what was
quarantined under other rules is looked at again."""

__all__ = [
    "RULES", "ImageInfo", "Interpolation", "Preprocessing", "Resize", "decode", "decode_with_info", "pillow_resize",
]  # fmt: skip
