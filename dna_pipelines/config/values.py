"""Types of values in the datasets file, and how its validators refuse a value."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, LiteralString

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"


class Section(BaseModel):
    """A part of the datasets file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def mistake(message: str, *, code: LiteralString, **facts: Any) -> PydanticCustomError:
    """The error for a validator to raise; pydantic carries its code, message and facts to `mistakes.explain`.

    It is a ValueError, as pydantic asks of validators.
    """
    return PydanticCustomError(code, "{message}", {"message": message, **facts})


def is_name(text: str) -> bool:
    """Whether a text can be the name of a dataset, an extractor or a selection; a path is none."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def _not_a_file_name(value: str) -> str:
    if value.lower().endswith(".json"):
        raise mistake(
            "a name that ends in .json would be read as the name of a file; choose another", code="config.name-of-file"
        )
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN), AfterValidator(_not_a_file_name)]

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
        raise mistake(
            "write a time of at least 10 seconds, such as 90s, 15m, 1h or 7d, or never", code="config.bad-interval"
        )
    return value


Interval = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, at least 10; infinite for never."""


def _device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", value):
        raise mistake(
            f"there is no device '{value}'; use 'cpu', 'cuda' (all GPUs) or one GPU, such as 'cuda:0'",
            code="config.unknown-device",
        )
    return value


Device = Annotated[str, AfterValidator(_device)]
"""`cpu`, `cuda` for all GPUs, or one GPU."""


def _as_text(value: object) -> object:
    """The text of a scalar; mappings and lists stay what they are, which pydantic then refuses."""
    return str(value) if isinstance(value, str | int | float | date) else value


def _tags(value: object) -> object:
    if not isinstance(value, list | dict):
        return value
    pairs = list(value.items()) if isinstance(value, dict) else [(tag, None) for tag in value]
    if odd := [key for key, _ in pairs if not isinstance(_as_text(key), str)]:
        raise mistake(
            f"tags are texts, or keys with texts, such as [night] or {{site: Berlin}}; found {odd[0]}",
            code="config.bad-tags",
        )
    if not all(_as_text(key) for key, _ in pairs):
        raise mistake("a tag has a key; write KEY or KEY=VALUE", code="config.bad-tags")
    return {_as_text(key): "" if text is None else text for key, text in pairs}


Tags = Annotated[dict[str, Annotated[str, BeforeValidator(_as_text)]], BeforeValidator(_tags)]
"""Keys, each with a text or without."""
