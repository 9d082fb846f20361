"""Checks of arguments, so that a wrong one is an error that names it, before any work begins."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from typing import Any

from dna_pipelines.errors import UserError


def texts(name: str, value: object) -> tuple[str, ...]:
    """The strings of an argument that takes a list of strings; a single string is a list of one.

    Raises:
        UserError: for anything else (`api.argument`).

    Examples:
        >>> texts("globs", "*.jpg"), texts("globs", ["*.jpg", "*.png"])
        (('*.jpg',), ('*.jpg', '*.png'))
    """
    if isinstance(value, str):
        return (value,)
    listed = list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else [value]
    if wrong := [one for one in listed if not isinstance(one, str)]:
        raise wrong_type(name, wrong[0], "a string or a list of strings")
    return tuple(map(str, listed))


def values(name: str, value: Any) -> list[Any]:
    """The values of an argument that has one for each image. A text is none: it would be read letter by letter.

    Raises:
        UserError: for a text, or what is no list (`api.argument`).

    Examples:
        >>> values("groups", ("clip 1", None))
        ['clip 1', None]
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong_type(name, value, "a list with a value for each image")
    return list(value.tolist() if hasattr(value, "tolist") else value)


def number(name: str, value: object, *, at_least: int) -> int:
    """A whole number.

    Raises:
        UserError: for anything else (`api.argument`), or a smaller number (`api.settings`).

    Examples:
        >>> number("workers", 4, at_least=0)
        4
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        whole = operator.index(value)  # type: ignore[arg-type]  # what it is, it says itself
    except TypeError as error:
        raise wrong_type(name, value, "a whole number") from error
    if whole < at_least:
        raise UserError(
            f"{name} is {whole}; it must be at least {at_least}",
            code="api.settings",
            settings=[name],
            value=whole,
            at_least=at_least,
        )
    return whole


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """A word that is known.

    Raises:
        UserError: for any other (`api.settings`).
    """
    if value not in known:
        raise UserError(
            f"{name} is {value!r}; it must be one of: {', '.join(known)}",
            code="api.settings",
            settings=[name],
            value=str(value),
            known=list(known),
        )
    return value


def location_settings(
    *,
    globs: str | Sequence[str],
    exclude: str | Sequence[str],
    kind: str | None,
    image_column: str | None,
    every: int | None,
    limit: int | None,
    group_by: str | None,
) -> dict[str, Any]:
    """The settings of a location as an entry of the datasets file has them, without those that are not given.

    Raises:
        UserError: when one is wrong (`api.argument`, `api.settings`).
    """
    settings = {
        "kind": kind, "globs": list(texts("globs", globs)), "exclude": list(texts("exclude", exclude)),
        "image_column": image_column, "group_by": group_by,
        "every": None if every is None else number("every", every, at_least=1),
        "limit": None if limit is None else number("limit", limit, at_least=1),
    }  # fmt: skip
    return {key: value for key, value in settings.items() if value not in (None, [])}


def wrong_type(name: str, value: object, wanted: str) -> UserError:
    """The error for an argument of another type than its own."""
    kind = "path" if isinstance(value, os.PathLike) else type(value).__name__
    return UserError(
        f"{name} takes {wanted}, not a {kind}", code="api.argument", argument=name, type=type(value).__name__
    )
