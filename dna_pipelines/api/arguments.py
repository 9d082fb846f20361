"""Checks of arguments, so that a wrong one is an error that names it, before any work begins."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence

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


def one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse a word that is not known.

    Raises:
        UserError: (`api.settings`).
    """
    if value not in known:
        raise UserError(
            f"{name} is {value!r}; it must be one of: {', '.join(known)}",
            code="api.settings",
            settings=[name],
            value=str(value),
            known=list(known),
        )


def wrong_type(name: str, value: object, wanted: str) -> UserError:
    """The error for an argument of another type than its own."""
    kind = "path" if isinstance(value, os.PathLike) else type(value).__name__
    return UserError(
        f"{name} takes {wanted}, not a {kind}", code="api.argument", argument=name, type=type(value).__name__
    )
