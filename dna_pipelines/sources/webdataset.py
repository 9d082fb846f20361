"""WebDataset shards: the members `KEY.json`, `KEY.cls` and `KEY.txt` describe the images of the same KEY.

A key is the path of a member up to the first dot of its file name. The fields of an object in `.json` become columns,
`.cls` and `.txt` become one column each; a suffix in between (`KEY.left.cls`) is part of the column's name.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from dna_pipelines.sources.listings_cache import Member
from dna_pipelines.sources.text_values import json_text

PROBLEM_COLUMN = "metadata_problem"
"""The column that names the descriptions of an image that could not be read."""

MAX_DESCRIPTION_BYTES = 2**20
"""Larger descriptions are not read; the images they belong to list them as a problem."""

MOST_CHARACTERS = 256 * 2**20
"""Characters of metadata of one archive, and bytes of its descriptions. Images beyond that list it as a problem."""

_SUFFIXES = (b"json", b"cls", b"txt")


def key_of(name: bytes) -> bytes:
    """The key of the sample that a member belongs to."""
    return _split(name)[0]


def described_key(name: bytes) -> bytes | None:
    """The key of the sample that a member describes; None for a member that is not a description."""
    key, suffix = _split(name)
    return key if suffix.rpartition(b".")[2].lower() in _SUFFIXES and key else None


def with_descriptions(
    members: Iterable[Member], texts: dict[bytes, bytes | str], most_characters: int = MOST_CHARACTERS
) -> list[Member]:
    """Members together with their descriptions.

    Args:
        members: all members of the shard.
        texts: the bytes of each description by its name, or why it could not be read.
        most_characters: of all images together. One description may belong to any number of images.
    """
    members = list(members)
    fields: dict[bytes, dict[str, str]] = defaultdict(dict)
    # A file of its own overrides a field of the same name, so that the JSON objects come first.
    for name in sorted(texts, key=lambda name: (not name.lower().endswith(b".json"), name)):
        key, suffix = _split(name)
        columns, problem = _columns(suffix.decode("utf-8", "replace"), texts[name])
        fields[key] |= columns
        if problem:
            named = f"{name.decode('utf-8', 'backslashreplace')}: {problem}"
            fields[key][PROBLEM_COLUMN] = "; ".join(filter(None, (fields[key].get(PROBLEM_COLUMN), named)))
    if not fields:
        return members
    sizes = {key: sum(len(name) + len(text) for name, text in columns.items()) for key, columns in fields.items()}
    described, left = [], most_characters
    for member in members:
        key = key_of(member.name)
        if member.describes is None and key in fields:
            left -= sizes[key]
            metadata = fields[key] if left >= 0 else _too_much(most_characters)
            described.append(member._replace(metadata=metadata))
        else:
            described.append(member)
    return described


def _too_much(most_characters: int) -> dict[str, str]:
    return {PROBLEM_COLUMN: f"left out, because the metadata of this archive have over {most_characters:,} characters"}


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
        columns = _fields(suffix, json.loads(decoded))
        # JSON can spell half a character (a lone surrogate), which is not text.
        "".join([*columns, *columns.values()]).encode()
    except (ValueError, RecursionError) as error:
        return {}, f"{type(error).__name__}: {str(error)[:200]}"
    return columns, None


def _fields(suffix: str, value: object) -> dict[str, str]:
    prefix = suffix[: -len("json")]
    if not isinstance(value, dict):
        return {suffix: json_text(value)}
    return {f"{prefix}{name}": json_text(field) for name, field in value.items() if field is not None}
