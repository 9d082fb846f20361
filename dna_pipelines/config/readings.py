"""What a dataset declares of its images that their files leave open: bits, values, bands and pages."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dna_pipelines.config.values import Count, Section, mistake


class PixelsConfig(Section):
    """How whole numbers are stored."""

    bits: Annotated[Count, Field(ge=1, le=32)]
    """How many bits are used, whatever they are stored in: white is 2^bits - 1."""


def _range(value: tuple[float, float]) -> tuple[float, float]:
    if not all(map(math.isfinite, value)) or value[0] == value[1]:
        raise mistake("write two different numbers: the values that are black and white", code="config.bad-value-range")
    return value


def _bands(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) not in (0, 1, 3) or any(band < 1 for band in value):
        raise mistake(
            "name one band that is grey, or three that are red, green and blue; the first is 1",
            code="config.bad-bands",
            bands=list(value),
        )
    return value


ValueRange = Annotated[tuple[float, float], AfterValidator(_range)]
"""The values that are black and white."""

Bands = Annotated[tuple[Count, ...], AfterValidator(_bands)]
"""One band or three, counted from 1."""

Pages = Literal["all", "first"]
"""Which pages of a file, or frames of an animation, are images of the dataset."""
