"""From the bytes of an image to the array a network sees. Without torch.

Belongs here: decoding rules and preprocessing. Does not: where bytes come from, torch.
"""

from dna_pipelines.imaging.decode import ImageInfo, decode, decode_with_info
from dna_pipelines.imaging.preprocess import Interpolation, Preprocessing, Resize, pillow_resize

__all__ = ["ImageInfo", "Interpolation", "Preprocessing", "Resize", "decode", "decode_with_info", "pillow_resize"]
