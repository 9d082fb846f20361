"""Preprocessing: from a decoded image to the normalised array a network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dna_pipelines.errors import ExtractorError

Interpolation = Literal["bilinear", "bicubic", "lanczos", "box"]

Resize = Callable[[NDArray[np.uint8], int, int, Interpolation], NDArray[np.uint8]]
"""From levels of shape (height, width, 3) to levels of another width and height; each output pixel is a filtered mean
of all pixels that it covers."""

_MOST_ASPECT = 32
"""Images that would be resized to more than this many times the size are cut first: most would be cropped anyway."""

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


_FITS, _LEVELS = ("squash", "crop"), ("uint8", "float32")


def pillow_resize(rgb: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Pillow's resize, the reference for all others."""
    return np.asarray(Image.fromarray(rgb).resize((width, height), _FILTERS[interpolation]))


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a network; part of the comparability key.

    `squash` resizes to a square whatever the aspect ratio, `crop` resizes the short edge; that edge is
    `round(size / crop_share)`, and the centre is cut out of the result. Values are scaled to [0, 1], then normalised
    as (x - mean) / std per channel.

    `resized_as` selects whether resizing gives whole levels of 8 bits, as most networks were trained with, or
    fractions of them (`float32`: each channel by itself, clipped to [0, 255]).
    """

    size_px: int
    fit: Literal["squash", "crop"] = "squash"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop_share: float = 1.0
    resized_as: Literal["uint8", "float32"] = "uint8"

    def __post_init__(self) -> None:
        """Refuse what would make every input useless.

        Raises:
            ExtractorError: (`network.preprocessing-value`).
        """
        wanted = {
            "size_px": (isinstance(self.size_px, int | np.integer) and self.size_px > 0, "a whole number of pixels"),
            "fit": (self.fit in _FITS, f"one of: {', '.join(_FITS)}"),
            "interpolation": (self.interpolation in _FILTERS, f"one of: {', '.join(_FILTERS)}"),
            "mean": (_three_numbers(self.mean), "three finite numbers"),
            "std": (_three_numbers(self.std) and min(self.std) > 0, "three numbers greater than 0"),
            "crop_share": (_is_number(self.crop_share) and 0 < self.crop_share <= 1, "greater than 0, at most 1"),
            "resized_as": (self.resized_as in _LEVELS, f"one of: {', '.join(_LEVELS)}"),
        }
        for setting, (right, what) in wanted.items():
            if not right:
                raise ExtractorError(
                    f"{setting} of a Preprocessing is {getattr(self, setting)!r}; it must be {what}",
                    code="network.preprocessing-value",
                    setting=setting,
                )

    @classmethod
    def reference(
        cls,
        size_px: int = 224,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ) -> Preprocessing:
        """The preprocessing of the reference implementation (vdna 0.1.1): squash, bicubic, in floats (as clean-fid)."""
        return cls(size_px, "squash", "bicubic", mean, std, resized_as="float32")

    def __call__(self, rgb: NDArray[np.uint8], resize: Resize = pillow_resize) -> NDArray[np.float32]:
        """From uint8 of shape (height, width, 3) to float32 of shape (3, size_px, size_px).

        `resize` resizes whole levels only; fractions are always resized by Pillow.
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
        # There are 256 levels: a table lookup is cheaper than computing the value of every pixel.
        table = ((np.arange(256, dtype=np.float32) / np.float32(255))[:, None] - mean) / std
        for channel in range(3):
            np.take(table[:, channel], levels[:, :, channel], out=inputs[channel], mode="clip")
        return inputs

    def key(self) -> dict[str, Any]:
        """The parts that decide what a network sees; `rules` counts the changes of their meaning."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "rules": 2}

    def _geometry(self, rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int, int]:
        """The part to resize, and its width and height after resizing."""
        short = round(self.size_px / self.crop_share)
        if self.fit == "squash":
            return rgb, short, short
        least = min(rgb.shape[:2])
        if max(rgb.shape[:2]) * short > _MOST_ASPECT * self.size_px * least:
            # The middle of a very long image, wide enough that its ends do not influence the crop.
            kept = [min(edge, max(1, round(_MOST_ASPECT * self.size_px * least / short))) for edge in rgb.shape[:2]]
            top, left = ((edge - part) // 2 for edge, part in zip(rgb.shape[:2], kept, strict=True))
            rgb = np.ascontiguousarray(rgb[top : top + kept[0], left : left + kept[1]])
        # The long edge is rounded down, as in torchvision and transformers.
        height, width = (edge * short // least for edge in rgb.shape[:2])
        return rgb, width, height

    def _centre(self, resized: NDArray[Any]) -> NDArray[Any]:
        height, width = resized.shape[:2]
        top, left = (height - self.size_px) // 2, (width - self.size_px) // 2
        return resized[top : top + self.size_px, left : left + self.size_px]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _three_numbers(values: object) -> bool:
    return (
        isinstance(values, Sequence | np.ndarray)
        and len(values) == 3
        and all(_is_number(value) and np.isfinite(value) for value in values)
    )


def _resized_floats(
    channel: NDArray[np.uint8], width: int, height: int, interpolation: Interpolation
) -> NDArray[np.float32]:
    image = Image.fromarray(channel.astype(np.float32))
    return np.asarray(image.resize((width, height), _FILTERS[interpolation])).clip(0, 255)
