"""Checks of arguments, so that a wrong one is an error that names it, before any work begins."""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dna_pipelines.errors import UserError


def text(name: str, value: object) -> str:
    """A string.

    Raises:
        UserError: for anything else (`api.argument`).
    """
    if not isinstance(value, str):
        raise wrong_type(name, value, "a string")
    return value


def path(name: str, value: object) -> Path:
    """A path, which is not empty.

    Raises:
        UserError: for anything else (`api.argument`), or an empty one (`api.settings`).
    """
    if not isinstance(value, str | os.PathLike) or isinstance(fspath := os.fspath(value), bytes):
        raise wrong_type(name, value, "a path")
    if not fspath or "\0" in fspath:
        raise wrong_value(name, fspath, "a path, such as '.' for the working directory")
    return Path(fspath)


def new_file(path: Path) -> Path:
    """A file to write, in a folder that exists: one that does not is rather misspelt than wanted.

    Raises:
        UserError: when there is no such folder (`api.no-folder`).
    """
    if not path.expanduser().parent.is_dir():
        raise UserError(
            f"{path} cannot be written: there is no folder {path.parent}; create it, or name another",
            code="api.no-folder",
            path=str(path),
            folder=str(path.parent),
        )
    return path


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Keys with values.

    Raises:
        UserError: for anything else (`api.argument`).
    """
    if not isinstance(value, Mapping):
        raise wrong_type(name, value, "a dict")
    return value


def function(name: str, value: object) -> object:
    """What can be called.

    Raises:
        UserError: for anything else (`api.argument`).
    """
    if not callable(value):
        raise wrong_type(name, value, "a function")
    return value


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


def places(name: str, value: object) -> list[str]:
    """The locations of an argument that takes one or several.

    Raises:
        UserError: for anything but paths (`api.argument`), or an empty path (`api.settings`).

    Examples:
        >>> places("images", "a.png"), places("images", [Path("a.png"), "s3://bucket/b.png"])
        (['a.png'], ['a.png', 's3://bucket/b.png'])
    """
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    for one in listed:
        path(name, one)
    return [os.fspath(one) for one in listed]


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


def whole(name: str, value: object) -> int:
    """A whole number, whatever library it is of.

    Raises:
        UserError: for anything else (`api.argument`).
    """
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]  # what it is, it says itself
        except TypeError:
            pass
    raise wrong_type(name, value, "a whole number")


def real(name: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A number from `low` to `high`, both included.

    Raises:
        UserError: for anything else (`api.argument`), or one outside, as NaN is (`api.settings`).

    Examples:
        >>> real("share", 1, low=0, high=1)
        1.0
    """
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise wrong_type(name, value, "a number")
    number = float(value)
    if not low <= number <= high:
        raise wrong_value(name, number, f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}")
    return number


def number(name: str, value: object, *, at_least: int, at_most: int | None = None) -> int:
    """A whole number within limits.

    Raises:
        UserError: for anything else (`api.argument`), or a number outside (`api.settings`).

    Examples:
        >>> number("workers", 4, at_least=0)
        4
    """
    given = whole(name, value)
    if given < at_least:
        raise wrong_value(name, given, f"at least {at_least}", at_least=at_least)
    if at_most is not None and given > at_most:
        raise wrong_value(name, given, f"at most {at_most}", at_most=at_most)
    return given


def one_of(name: str, value: object, known: Sequence[str]) -> str:
    """A word that is known.

    Raises:
        UserError: for any other (`api.settings`), or no word (`api.argument`).
    """
    if (word := text(name, value)) not in known:
        raise wrong_value(name, word, f"one of: {', '.join(known)}", known=list(known))
    return word


def device_name(value: object) -> str:
    """The name of a device that computes.

    Raises:
        UserError: for a name of another form (`api.settings`), or no text (`api.argument`).
    """
    device = text("device", value)
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
        raise wrong_value("device", device, "cpu or one GPU, such as cuda:0")
    return device


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


def further_settings(settings: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """Other keys of an entry of the datasets file, which are checked with the rest of it.

    Args:
        settings: by key.
        taken: keys that arguments of their own have given already.

    Raises:
        UserError: when a key has an argument of its own that is given, too, or must be one (`api.settings`).
    """
    for key in settings:
        if key in taken or key in ("name", "uri", "metadata"):
            raise UserError(
                f"settings has the key {key!r}, which has an argument of its own",
                code="api.settings",
                settings=[str(key)],
                value=settings[key],
            )
    return dict(settings)


READING = ("pixels", "value_range", "bands", "pages")
"""The settings that say how files are read."""


def reading_settings(
    *, bits: int | None, value_range: Sequence[float] | None, bands: int | Sequence[int], pages: str | None
) -> dict[str, Any]:
    """How files are read, as an entry of the datasets file has it, without what is not given.

    Raises:
        UserError: when an argument is wrong (`api.argument`, `api.settings`).

    Examples:
        >>> reading_settings(bits=12, value_range=None, bands=[4, 3, 2], pages="all")
        {'pixels': {'bits': 12}, 'bands': [4, 3, 2], 'pages': 'all'}
    """
    settings: dict[str, Any] = {}
    if bits is not None:
        settings["pixels"] = {"bits": number("bits", bits, at_least=1, at_most=32)}
    if value_range is not None:
        limits = [real("value_range", value) for value in values("value_range", value_range)]
        if len(limits) != 2:
            raise wrong_value("value_range", limits, "two numbers: the values that are black and white")
        settings["value_range"] = limits
    if chosen := list(bands) if isinstance(bands, Iterable) else [bands]:
        settings["bands"] = [number("bands", band, at_least=1) for band in chosen]
    if pages is not None:
        settings["pages"] = one_of("pages", pages, ("all", "first"))
    return settings


def wrong_type(name: str, value: object, wanted: str) -> UserError:
    """The error for an argument of another type than its own."""
    kind = "path" if isinstance(value, os.PathLike) else type(value).__name__
    return UserError(
        f"{name} takes {wanted}, not a {kind}", code="api.argument", argument=name, type=type(value).__name__
    )


def wrong_value(name: str, value: object, wanted: str, **facts: Any) -> UserError:
    """The error for an argument of the right type with a value that it cannot have."""
    shown = None if isinstance(value, float) and math.isnan(value) else value
    return UserError(
        f"{name} is {value!r}; it must be {wanted}", code="api.settings", settings=[name], value=shown, **facts
    )
