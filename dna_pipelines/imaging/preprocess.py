"""Preprocessing: from a decoded image to the normalised array a network was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Interpolation = Literal["bilinear", "bicubic", "lanczos", "box"]

Resize = Callable[[NDArray[np.uint8], int, int, Interpolation], NDArray[np.uint8]]
"""From (height, width, 3) levels to levels of another width and height, filtered over all pixels that
an output pixel covers."""

_LONGEST = 32
"""Images that would be resized to more times the size are cut first: most of it would be cropped anyway."""

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def pillow_resize(rgb: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Pillow's resize, which others are held to."""
    return np.asarray(Image.fromarray(rgb).resize((width, height), _FILTERS[interpolation]))


@dataclass(frozen=True)
class Preprocessing:
    """One specification for all networks; part of the comparability key.

    `squash` resizes to a square whatever the aspect ratio, `crop` resizes the short edge; that edge is
    `round(size / crop_share)`, and the centre is cut out of the result. Values are scaled to [0, 1], then normalised
    as (x - mean) / std per channel.

    `resized_as` says whether resizing gives whole levels of 8 bits, which is what most networks
    were trained with, or fractions of them (`float32`: each channel by itself, cut to [0, 255]).
    """

    size_px: int
    fit: Literal["squash", "crop"] = "squash"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_share: float = 1.0
    resized_as: Literal["uint8", "float32"] = "uint8"

    def __post_init__(self) -> None:
        """Refuse what would make every input useless."""
        if not all(len(colour) == 3 and np.isfinite(colour).all() for colour in (self.mean, self.std)):
            raise ValueError(f"mean and std have to be three finite numbers each, not {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ValueError(f"std has to be greater than 0, not {self.std}")

    @classmethod
    def reference(
        cls,
        size_px: int = 224,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ) -> Preprocessing:
        """What the reference implementation (vdna 0.1.1) does: squash, bicubic, in floats (as clean-fid)."""
        return cls(size_px, "squash", "bicubic", mean, std, resized_as="float32")

    def __call__(self, rgb: NDArray[np.uint8], resize: Resize = pillow_resize) -> NDArray[np.float32]:
        """(height, width, 3) uint8 to (3, size_px, size_px) float32.

        `resize` is asked for whole levels only; fractions are always Pillow's.
        """
        rgb, width, height = self._geometry(rgb)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        inputs = np.empty((3, self.size_px, self.size_px), np.float32)
        if self.resized_as == "float32":
            for channel in range(3):
                levels = self._centre(_resized_floats(rgb[:, :, channel], width, height, self.interpolation))
                inputs[channel] = (levels / np.float32(255) - mean[channel]) / std[channel]
            return inputs
        levels = self._centre(resize(rgb, width, height, self.interpolation))
        # There are 256 levels: looking up what each becomes is cheaper than computing it for every pixel.
        table = ((np.arange(256, dtype=np.float32) / np.float32(255))[:, None] - mean) / std
        for channel in range(3):
            np.take(table[:, channel], levels[:, :, channel], out=inputs[channel], mode="clip")
        return inputs

    def key(self) -> dict[str, Any]:
        """The parts that decide what a network sees; `rules` counts the changes of what they mean."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "rules": 2}

    def _geometry(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, int]:
        """What is to be resized, and the width and height it gets."""
        short = round(self.size_px / self.crop_share)
        if self.fit == "squash":
            return rgb, short, short
        least = min(rgb.shape[:2])
        if max(rgb.shape[:2]) * short > _LONGEST * self.size_px * least:
            # The middle of a very long image, wide enough that its ends are far from what is kept.
            kept = [min(edge, max(1, round(_LONGEST * self.size_px * least / short))) for edge in rgb.shape[:2]]
            top, left = ((edge - part) // 2 for edge, part in zip(rgb.shape[:2], kept, strict=True))
            rgb = np.ascontiguousarray(rgb[top : top + kept[0], left : left + kept[1]])
        # The long edge is cut off, not rounded, as torchvision and transformers do.
        height, width = (edge * short // least for edge in rgb.shape[:2])
        return rgb, width, height

    def _centre(self, resized: NDArray[Any]) -> NDArray[Any]:
        height, width = resized.shape[:2]
        top, left = (height - self.size_px) // 2, (width - self.size_px) // 2
        return resized[top : top + self.size_px, left : left + self.size_px]


def _resized_floats(
    channel: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation
) -> NDArray[np.float32]:
    image = Image.fromarray(channel.astype(np.float32))
    return np.asarray(image.resize((width, height), _FILTERS[interpolation])).clip(0, 255)
