"""Families of formulas, and drawing one of their classes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FIELD_PX = 128
"""Height and width of a field in pixels; the network sees a crop of it."""

Field = NDArray[np.float32]


class Family(Protocol):
    """One kind of formula.

    Attributes:
        name: what it is called; part of the seeds of its classes.
        n_classes: how many classes are drawn from it.
    """

    name: str
    n_classes: int

    def draw(self, cls: np.random.Generator, n_images: int, rng: np.random.Generator) -> list[Field]:
        """The images of one class.

        Args:
            cls: decides the class's parameters.
            n_images: how many images.
            rng: decides what differs between images.

        Returns:
            (FIELD_PX, FIELD_PX) arrays of any range.
        """
        ...


def draw_class(family: Family, index: int, n_images: int, seed: int) -> NDArray[np.uint8]:
    """(n_images, FIELD_PX, FIELD_PX) fields of class `index`; the same for the same arguments."""
    name = int.from_bytes(family.name.encode()[:8], "big")
    cls, rng = (np.random.default_rng([seed, name, index, part]) for part in (0, 1))
    return np.stack([_as_bytes(field) for field in family.draw(cls, n_images, rng)])


def _as_bytes(field: Field) -> NDArray[np.uint8]:
    """Half of the way to equal shares of all greys: neither a few spikes nor no difference in contrast."""
    low, high = np.percentile(field, [0.5, 99.5])
    scaled = np.clip((field - low) / max(float(high - low), 1e-9), 0, 1)
    mixed = 0.5 * scaled + 0.5 * equalised(field)
    return np.rint(255 * mixed).astype(np.uint8)


def equalised(field: Field) -> Field:
    """The field with ranks for values, scaled to [0, 1]; equal values share their mean rank."""
    _, inverse, counts = np.unique(field, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return (middle / (field.size - 1))[inverse].reshape(field.shape).astype(np.float32)
