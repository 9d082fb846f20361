"""Mistakes in the datasets file: what pydantic reports, as a stable code, facts and a message."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from dna_pipelines.config.dataset import ChecksConfig, DatasetConfig, MetadataConfig
from dna_pipelines.config.extractor import ExtractorConfig
from dna_pipelines.config.models import WatchConfig
from dna_pipelines.config.readings import PixelsConfig

_NAMES = "use letters, digits, '.', '_' and '-', at most 100, beginning with a letter or a digit"

_MODELS: dict[str, type[BaseModel]] = {
    "datasets": DatasetConfig,
    "extractors": ExtractorConfig,
    "metadata": MetadataConfig,
    "checks": ChecksConfig,
    "pixels": PixelsConfig,
}

_EXPECTED = {
    "int_type": ("config.wrong-type", "a whole number"),
    "float_type": ("config.wrong-type", "a number"),
    "string_type": ("config.wrong-type", "text"),
    "tuple_type": ("config.wrong-type", "a list, such as [a, b]"),
    "dict_type": ("config.wrong-type", "keys with values, such as {{key: value}}"),
    "string_too_short": ("config.empty-value", "text"),
    "greater_than_equal": ("config.out-of-range", "at least {ge:g}"),
    "less_than_equal": ("config.out-of-range", "at most {le:g}"),
    "literal_error": ("config.unknown-value", "{expected}"),
}
"""The code and the expected value, by the type of pydantic's error."""

_NOT_WRITABLE_AS_TEXT = (Mapping, Sequence, bool, type(None))


class Mistake(NamedTuple):
    """One mistake in the datasets file.

    Attributes:
        code: see `docs/errors.md`.
        message: what is wrong and what to write instead, without file and line.
        facts: the names and numbers of the message.
    """

    code: str
    message: str
    facts: dict[str, Any]


def explain(problem: Any, location: Sequence[int | str]) -> Mistake:
    """Explain one of pydantic's errors.

    Args:
        problem: an item of `ValidationError.errors()`.
        location: the keys and indices that lead to the value, from the top of the file.
    """
    kind, value = problem["type"], problem["input"]
    facts: dict[str, Any] = {"key": ".".join(map(str, location)), "value": _plain(value)}
    if kind == "extra_forbidden":
        return _unknown_key(facts["key"], str(location[-1]), list(_model_at(location[:-1]).model_fields))
    if kind == "missing":
        return Mistake("config.missing-key", "is missing", {"key": facts["key"]})
    if kind == "string_pattern_mismatch":
        is_network = location[-1] == "name" and "extractors" in location
        hint = f"; to load another network, write {{name: …, network: '{value}'}}" if is_network else ""
        return Mistake("config.bad-name", f"'{value}' is not a name: {_NAMES}{hint}", facts)
    if kind == "model_type" or kind in _EXPECTED:
        return _unexpected(problem, location, facts)
    context = problem.get("ctx", {})
    if not kind.startswith("config."):
        return Mistake("config.wrong-value", str(problem["msg"]), facts)
    # From `values.mistake`.
    own = {name: fact for name, fact in context.items() if name != "message"}
    return Mistake(kind, context["message"], {**facts, **own})


def _unexpected(problem: Any, location: Sequence[int | str], facts: dict[str, Any]) -> Mistake:
    """A value of another type or out of range."""
    kind, value = problem["type"], problem["input"]
    if kind == "model_type":
        code, expected = "config.wrong-type", _example(_model_at(location))
    else:
        code, template = _EXPECTED[kind]
        expected = template.format(**problem.get("ctx", {}))
    # Numbers and dates become text when they are quoted.
    can_quote = kind == "string_type" and not isinstance(value, _NOT_WRITABLE_AS_TEXT)
    hint = f"; write '{value}'" if can_quote else ""
    return Mistake(code, f"expected {expected}, found {_shown(value)}{hint}", {**facts, "expected": expected})


def _unknown_key(key: str, name: str, known: list[str]) -> Mistake:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known keys are {', '.join(known)}"
    suggestion = close[0] if close else None
    return Mistake("config.unknown-key", f"unknown key; {hint}", {"key": key, "known": known, "suggestion": suggestion})


def _model_at(location: Sequence[int | str]) -> type[BaseModel]:
    return next((_MODELS[str(part)] for part in reversed(location) if part in _MODELS), WatchConfig)


def _example(model: type[BaseModel]) -> str:
    """The required keys of a model, or an optional one where none is required."""
    fields = model.model_fields
    keys = [name for name, field in fields.items() if field.is_required()] or list(fields)[:1]
    return f"{{{', '.join(f'{key}: …' for key in keys)}}}"


def _shown(value: object) -> str:
    """A value as the file has it."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value}'"
    if isinstance(value, Mapping):
        return "keys with values"
    return "a list" if isinstance(value, Sequence) else str(value)


def _plain(value: object) -> object:
    """A value as JSON: scalars as they are, everything else as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else _shown(value)
