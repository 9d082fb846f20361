"""The door of the public methods: each argument is checked by what the signature says of it, before any work begins."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from dna_pipelines.api import arguments
from dna_pipelines.api.arguments import wrong_type

P = ParamSpec("P")
R = TypeVar("R")

Check = Callable[[str, Any], Any]
"""From the name and the value of an argument to the value as the method takes it."""

_CHECKS: Mapping[str, Check] = {
    "str": arguments.text,
    "Metric": arguments.text,
    "str | Path": arguments.path,
    "int": arguments.whole,
    "float": arguments.real,
    "Mapping[str, str]": arguments.mapping,
    "Mapping[str, Any]": arguments.mapping,
    "Callable[[Finding], None]": arguments.function,
}
"""By annotation. What is not here is checked where it is used."""


def checked(method: Callable[P, R]) -> Callable[P, R]:
    """A method whose arguments are checked when it is called.

    Raises:
        UserError: by the method, for a wrong argument (`api.argument`, `api.settings`).
    """
    signature = inspect.signature(method)
    checks = {name: check for name, each in signature.parameters.items() if (check := _check_of(each))}

    @functools.wraps(method)
    def entered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return method(*args, **kwargs)  # Python's own words for missing and unknown arguments
        for name in bound.arguments.keys() & checks.keys():
            bound.arguments[name] = checks[name](name, bound.arguments[name])
        return method(*bound.args, **bound.kwargs)

    return entered


def _check_of(parameter: inspect.Parameter) -> Check | None:
    annotation = str(parameter.annotation)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return _names
    wanted = annotation.removesuffix(" | None")
    if wanted.startswith("Literal["):
        check: Check | None = functools.partial(
            arguments.one_of, known=ast.literal_eval(wanted.removeprefix("Literal"))
        )
    else:
        check = _CHECKS.get(wanted)
    return _or_none(check) if check and wanted != annotation else check


def _or_none(check: Check) -> Check:
    return lambda name, value: None if value is None else check(name, value)


def _names(name: str, values: tuple[Any, ...]) -> tuple[str, ...]:
    """Names one by one; a list of them is most often meant as several."""
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise wrong_type(name, wrong[0], "strings one by one, as in update('a', 'b') or update(*list_of_names)")
    return values
