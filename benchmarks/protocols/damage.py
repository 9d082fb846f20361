"""Six kinds of damage to images, and ladders of tiny steps of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.shifts import SHIFTS

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""From an image (px, px, 3) of levels, how strong, and chance."""

GREY = 127


def occlude(image: np.ndarray, edge_px: float, rng: np.random.Generator) -> np.ndarray:
    """A grey square somewhere."""
    edge, changed = round(edge_px), image.copy()
    top, left = (int(rng.integers(0, size - edge + 1)) for size in image.shape[:2])
    changed[top : top + edge, left : left + edge] = GREY
    return changed


CHANGES: dict[str, Change] = {
    **{name: SHIFTS[name][0] for name in ("blur", "noise", "brightness", "contrast", "JPEG")},
    "occlusion": occlude,
}

WORDS = {**{name: SHIFTS[name][2] for name in CHANGES if name in SHIFTS}, "occlusion": "square of {:g} px"}
"""How a strength is written."""

LADDERS: dict[str, tuple[float, ...]] = {
    "blur": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "noise": (1, 2, 3, 4, 5, 6),
    "brightness": (2, 4, 6, 8, 10, 12),
    "contrast": (0.97, 0.94, 0.91, 0.88, 0.85, 0.82),
    "JPEG": (97, 94, 91, 88, 85, 82),
    "occlusion": (6, 8, 10, 12, 14, 16),
}
"""From hardly anything to not much more."""


def damaged(images: np.ndarray, kind: str, strength: float, seed: int = 0) -> np.ndarray:
    """All images, changed alike; chance differs from image to image, and is the same at every strength."""
    change = CHANGES[kind]
    return np.stack(
        [change(image, strength, np.random.default_rng([seed, index])) for index, image in enumerate(images)]
    )
