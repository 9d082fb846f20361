"""Preprocessing: from a decoded image to the normalised array a network was trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LONGEST = 32
"""Images that would be resized to more times the size are cut first: most of it would be cropped anyway."""

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


@dataclass(frozen=True)
class Preprocessing:
    """One specification for all networks; part of the comparability key.

    `squash` resizes to a square whatever the aspect ratio, `crop` resizes the short edge; that edge is
    `round(size / crop_share)`, and the centre is cut out of the result. Values are scaled to [0, 1], then normalised
    as (x - mean) / std per channel.
    """

    size_px: int
    fit: Literal["squash", "crop"] = "squash"
    interpolation: Literal["bilinear", "bicubic", "lanczos", "box"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_share: float = 1.0

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(height, width, 3) uint8 to (3, size_px, size_px) float32."""
        image = Image.fromarray(rgb)
        image = self._squash(image) if self.fit == "squash" else self._crop(image)
        scaled = np.asarray(image, dtype=np.float32) * np.float32(1 / 255)
        normalised = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def key(self) -> dict[str, Any]:
        """The parts that decide what a network sees."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "rules": 1}

    def _squash(self, image: Image.Image) -> Image.Image:
        edge = round(self.size_px / self.crop_share)
        return self._centre(image.resize((edge, edge), _FILTERS[self.interpolation]))

    def _crop(self, image: Image.Image) -> Image.Image:
        short = round(self.size_px / self.crop_share)
        if max(image.size) * short > _LONGEST * self.size_px * min(image.size):
            image = self._shorten(image, short / min(image.size))
        # The long edge is cut off, not rounded, as torchvision and transformers do.
        width, height = (edge * short // min(image.size) for edge in image.size)
        return self._centre(image.resize((width, height), _FILTERS[self.interpolation]))

    def _centre(self, image: Image.Image) -> Image.Image:
        left, top = ((edge - self.size_px) // 2 for edge in image.size)
        return image.crop((left, top, left + self.size_px, top + self.size_px))

    def _shorten(self, image: Image.Image, scale: float) -> Image.Image:
        """The middle of a very long image, wide enough that its ends are far from what is kept."""
        kept = [min(edge, max(1, round(_LONGEST * self.size_px / scale))) for edge in image.size]
        left, top = ((edge - part) // 2 for edge, part in zip(image.size, kept, strict=True))
        return image.crop((left, top, left + kept[0], top + kept[1]))
