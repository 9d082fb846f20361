"""From the bytes of an image to the array a network sees. Pillow and numpy only.

Belongs here: decoding rules and preprocessing. Does not: where bytes come from, torch.
"""

from dna_pipelines.imaging.decode import ImageInfo, decode, decode_with_info
from dna_pipelines.imaging.preprocess import Preprocessing

__all__ = ["ImageInfo", "Preprocessing", "decode", "decode_with_info"]
