"""Kinds of values in the datasets file, wherever they stand in it."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, Strict, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"


def _no_file(value: str) -> str:
    if value.lower().endswith(".json"):
        raise ValueError("a name that ends in .json would be taken for a file; choose another")
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_no_file)]

Count = Annotated[int, Strict()]
"""A whole number that is written as one: neither `'7'` nor `true` nor `7.0`."""

Share = Annotated[float, Strict(), Field(ge=0, le=1)]


def _seconds(value: object) -> float:
    """`90s`, `15m`, `1h` or `7d` as seconds; `never` as infinity."""
    if value == "never":
        return math.inf
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value)):
        value = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 10:
        raise ValueError("write a time of at least 10 seconds, such as 90s, 15m, 1h or 7d, or never")
    return value


Interval = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, at least 10; infinite for never."""


def _device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", value):
        raise ValueError(f"there is no device '{value}'; use 'cpu', 'cuda' (all GPUs) or one GPU, such as 'cuda:0'")
    return value


Device = Annotated[str, AfterValidator(_device)]
"""A device, or all of a kind."""


def _plain(value: object) -> object:
    """Its text; what has keys or items of its own stays what it is, which is an error."""
    return str(value) if isinstance(value, str | int | float | date) else value


def _tags(value: object) -> object:
    if not isinstance(value, list | dict):
        return value
    pairs = list(value.items()) if isinstance(value, dict) else [(tag, None) for tag in value]
    if odd := [key for key, _ in pairs if not isinstance(_plain(key), str)]:
        raise ValueError(f"tags are texts, or keys with texts, such as [night] or {{site: Berlin}}; found {odd[0]}")
    if not all(_plain(key) for key, _ in pairs):
        raise ValueError("a tag has a key; write KEY or KEY=VALUE")
    return {_plain(key): "" if text is None else text for key, text in pairs}


Tags = Annotated[dict[str, Annotated[str, BeforeValidator(_plain)]], BeforeValidator(_tags)]
"""Keys with or without a text."""
