"""WebDataset's layout: the members `KEY.json`, `KEY.cls` and `KEY.txt` describe the images of the same KEY.

A key is a name up to the first dot of its last part. The fields of an object in `.json` become columns,
`.cls` and `.txt` become one column each; a suffix in between (`KEY.left.cls`) is part of the column's name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from dna_pipelines.sources.contents import Member
from dna_pipelines.sources.values import json_text

PROBLEM_COLUMN = "metadata_problem"
"""The column that says what beside an image could not be read."""

MOST_BYTES = 2**20
"""Larger ones are not read; the images they belong to say so."""

_SUFFIXES = (b"json", b"cls", b"txt")


def key_of(name: bytes) -> bytes:
    """The key of the sample that a member belongs to."""
    return _split(name)[0]


def describes(name: bytes) -> bytes | None:
    """The key of the sample that a member describes; None for a member that is no description."""
    key, suffix = _split(name)
    return key if suffix.rpartition(b".")[2].lower() in _SUFFIXES and key else None


def described(members: Iterable[Member], texts: dict[bytes, bytes | str]) -> list[Member]:
    """Members together with what describes them.

    Args:
        members: all there are.
        texts: by name, the bytes of those that describe others, or why they could not be read.
    """
    members = list(members)
    fields: dict[bytes, dict[str, str]] = defaultdict(dict)
    # A file of its own says more than a field of the same name, so that the objects come first.
    for name in sorted(texts, key=lambda name: (not name.lower().endswith(b".json"), name)):
        key, suffix = _split(name)
        found, problem = _columns(suffix.decode("utf-8", "replace"), texts[name])
        fields[key] |= found
        if problem:
            said = f"{name.decode('utf-8', 'backslashreplace')}: {problem}"
            fields[key][PROBLEM_COLUMN] = "; ".join(filter(None, (fields[key].get(PROBLEM_COLUMN), said)))
    if not fields:
        return members
    return [
        member if member.beside is not None else member._replace(metadata=fields.get(key_of(member.name)))
        for member in members
    ]


def _split(name: bytes) -> tuple[bytes, bytes]:
    folder, slash, base = name.rpartition(b"/")
    key, _, suffix = base.partition(b".")
    return folder + slash + key, suffix


def _columns(suffix: str, text: bytes | str) -> tuple[dict[str, str], str | None]:
    if isinstance(text, str):
        return {}, text
    try:
        decoded = text.decode("utf-8-sig")
        if not suffix.lower().endswith("json"):
            return {suffix: decoded.strip()}, None
        found = _fields(suffix, json.loads(decoded))
        # JSON can spell half a character (a lone surrogate), which is no text.
        "".join([*found, *found.values()]).encode()
    except (ValueError, RecursionError) as error:
        return {}, f"{type(error).__name__}: {str(error)[:200]}"
    return found, None


def _fields(suffix: str, value: object) -> dict[str, str]:
    prefix = suffix[: -len("json")]
    if not isinstance(value, dict):
        return {suffix: json_text(value)}
    return {f"{prefix}{name}": json_text(field) for name, field in value.items() if field is not None}
