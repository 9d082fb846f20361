"""What is wrong in the datasets file, in words of the file: what was found there, and what is expected."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from dna_pipelines.config.models import ChecksConfig, DatasetConfig, ExtractorConfig, MetadataConfig, WatchConfig

_NAMES = "use letters, digits, '.', '_' and '-', at most 100, beginning with a letter or a digit"

_MODELS: dict[str, type[BaseModel]] = {
    "datasets": DatasetConfig,
    "extractors": ExtractorConfig,
    "metadata": MetadataConfig,
    "checks": ChecksConfig,
}

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_too_short": "text",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "keys with values, such as {{key: value}}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
}
"""By the kind of a problem as pydantic calls it."""

_NO_TEXT = (Mapping, Sequence, bool, type(None))


def in_words(problem: Any, location: Sequence[int | str]) -> str:
    """What is wrong at a place.

    Args:
        problem: one of pydantic's.
        location: the keys and numbers that lead there, from the top of the file.
    """
    kind, found, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(str(location[-1]), list(_model_at(location[:-1]).model_fields))
    if kind == "string_pattern_mismatch":
        beside = f"; say what is loaded beside it: {{name: …, network: '{found}'}}" if "extractors" in location else ""
        return _NAMES + (beside if location[-1] == "name" else "")
    if kind == "missing":
        return "is missing"
    if kind == "model_type":
        return f"expected {_example(_model_at(location))}, found {_said(found)}"
    if expected := _EXPECTED.get(kind):
        # Numbers and dates are text where they are quoted.
        quoted = f"; write '{found}'" if kind == "string_type" and not isinstance(found, _NO_TEXT) else ""
        return f"expected {expected.format(**context)}, found {_said(found)}{quoted}"
    return str(problem["msg"]).removeprefix("Value error, ")


def _unknown_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean '{close[0]}'?" if close else f"unknown key; known are {', '.join(known)}"


def _model_at(location: Sequence[int | str]) -> type[BaseModel]:
    return next((_MODELS[str(part)] for part in reversed(location) if part in _MODELS), WatchConfig)


def _example(model: type[BaseModel]) -> str:
    """The keys that have to be there, or else one that may."""
    fields = model.model_fields
    keys = [name for name, field in fields.items() if field.is_required()] or list(fields)[:1]
    return f"{{{', '.join(f'{key}: …' for key in keys)}}}"


def _said(found: object) -> str:
    """A value as the file has it."""
    if found is None or found == "":
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str):
        return f"the text '{found}'"
    if isinstance(found, Mapping):
        return "keys with values"
    return "a list" if isinstance(found, Sequence) else str(found)
