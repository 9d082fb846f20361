"""What files are called: one rule for each place where a name may be written in more than one way.

Names are compared as they are given. Only where a table names images in another spelling, spellings are compared.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

_LEADING_DOT = re.compile(rb"\A(?:\./+)+(?=[^/])")
_ENCODED_SLASH = re.compile("%(?=2[Ff])")


def without_leading_dot(name: bytes) -> bytes:
    """A name without the leading `./` of `find`: both names are one file."""
    return _LEADING_DOT.sub(b"", name)


def name_of_address(address: str) -> bytes:
    """The name in an address on the web, relative to its folder: decoded once, except for slashes.

    Examples:
        >>> name_of_address("a%20b.png"), name_of_address("50%2525.png"), name_of_address("a%2Fb.png")
        (b'a b.png', b'50%25.png', b'a%2Fb.png')
    """
    # A slash that is encoded is part of a name and divides nothing.
    return unquote_to_bytes(_ENCODED_SLASH.sub("%25", address))


def names_in_zip(stored: Iterable[bytes]) -> dict[bytes, bytes]:
    """By the name of each member the name that the archive stores. Of several members of one name, the first counts.

    A leading `./` is not part of a name, and back-slashes separate folders, as some programs on Windows write them.
    Where members differ in nothing but the separator, each keeps its own.
    """
    names: dict[bytes, bytes] = {}
    with_backslash = []
    for name in stored:
        if b"\\" in name:
            with_backslash.append(name)
        else:
            names.setdefault(without_leading_dot(name), name)
    slashed = [without_leading_dot(name.replace(b"\\", b"/")) for name in with_backslash]
    taken = set(names)
    for name, stored_name in zip(slashed, with_backslash, strict=True):
        names.setdefault(stored_name if name in taken else name, stored_name)
    return names


def rows_of_images(rows: Collection[str], images: Iterable[str]) -> dict[str, str]:
    r"""By the name of each image the row of a table that names it.

    It is the row of the very name; or else the only one of that name in another spelling, where no second image has
    it: composed or decomposed accents (NFC, NFD), slashes or back-slashes.

    Examples:
        >>> rows_of_images({"a/1.png", "b\\2.png"}, ["a/1.png", "b/2.png", "c/3.png"])
        {'a/1.png': 'a/1.png', 'b/2.png': 'b\\\\2.png'}
    """
    images = list(images)
    matched = {image: image for image in images if image in rows}
    if len(matched) == len(rows):
        return matched
    unnamed = _by_spelling(image for image in images if image not in matched)
    unused = _by_spelling(row for row in rows if row not in matched)
    for spelling, candidates in unnamed.items():
        named = unused.get(spelling, [])
        if len(candidates) == 1 and len(named) == 1:
            matched[candidates[0]] = named[0]
    return matched


def _by_spelling(names: Iterable[str]) -> dict[str, list[str]]:
    grouped = defaultdict(list)
    for name in names:
        slashed = name.replace("\\", "/")
        grouped[slashed if slashed.isascii() else normalize("NFC", slashed)].append(name)
    return grouped
