"""How the pixels of an image come from its file: the rules, or what its dataset declares instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Reading:
    """What decides the pixels of an image besides the bytes of its file; by default the rules alone do.

    Attributes:
        bits: of whole numbers, how many are used: white is 2^bits - 1.
        value_range: the values that are black and white; those outside are clipped.
        bands: one band that is grey, or three that are red, green and blue; counted from 1.
        page: of a file of several pages or frames, counted from 1.
        rules: the version of the rules since which files of this layout have these pixels.
    """

    bits: int | None = None
    value_range: tuple[float, float] | None = None
    bands: tuple[int, ...] = ()
    page: int = 1
    rules: int = 1

    @property
    def declares_samples(self) -> bool:
        """Whether it says what bands or values mean, so that the rules for them do not apply."""
        return self.bits is not None or self.value_range is not None or bool(self.bands)

    @property
    def facts(self) -> dict[str, Any]:
        """What differs from the rules, as JSON values; empty where nothing does."""
        named = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, (value, default) in named.items()
            if value != default
        }

    def to_text(self) -> str | None:
        """The facts as JSON; None where there are none."""
        return json.dumps(self.facts, sort_keys=True) if self.facts else None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Reading:
        """The reading that has these facts."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
        }
        return cls(**values)

    @classmethod
    def from_text(cls, text: str | None) -> Reading:
        """The reading of `to_text`."""
        return _parsed(text) if text else BY_RULES


@cache
def _parsed(text: str) -> Reading:
    # The images of a dataset have few readings.
    return Reading.from_facts(json.loads(text))


BY_RULES = Reading()


class FileRead(NamedTuple):
    """The bytes of a file, and how to read them."""

    data: bytes
    reading: Reading


Encoded = bytes | FileRead
"""An encoded image: the bytes of a file that is read by the rules, or bytes with their reading."""


def split(image: Encoded) -> tuple[bytes, Reading]:
    """The bytes of an encoded image, and its reading."""
    return image if isinstance(image, FileRead) else (image, BY_RULES)


def encoded(data: bytes, reading: Reading) -> Encoded:
    """An encoded image of these bytes and this reading."""
    return data if reading == BY_RULES else FileRead(data, reading)
