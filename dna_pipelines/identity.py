"""Identities: digests of bytes, stable hashes of values, and the two keys of a measurement.

Names, dates and order are never part of an identity. Every identity is hashed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ID_LENGTH = 24
"""Hex digits of a sha256 in ids (96 bits: no collision is expected below 10^14 ids)."""

N_BLOCKS = 64
"""Blocks per dataset: fixed, so that the blocks of any two datasets correspond."""


def digest_of(data: bytes) -> str:
    """The sha256 of an image's bytes, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def image_digest(file_digest: str, reading: Mapping[str, Any]) -> str:
    """The identity of an image: the digest of its file, and how it is read where more than the rules decide that.

    So equal digests always stand for equal pixels, also of two datasets that read one file in different ways.

    Args:
        file_digest: see `digest_of`.
        reading: JSON values; empty where the rules alone decide.

    Returns:
        64 hex digits.
    """
    if not reading:
        return file_digest
    text = json.dumps(reading, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"reading\t{file_digest}\t{text}".encode()).hexdigest()


def stable_hash(value: Any) -> str:
    """An id for any JSON value: the same on every machine, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """An image of a dataset: its bytes and the sampling unit it belongs to."""

    digest: str
    group: str | None = None

    def token(self) -> str:
        """A text that differs whenever the item does."""
        return self.digest if self.group is None else f"{self.digest}\t{self.group}"


def multiset_id(items: Iterable[Item]) -> str:
    """The id of a multiset of items, used for dataset versions and for shards alike."""
    tokens = sorted(item.token() for item in items)
    hasher = hashlib.sha256()
    for token in tokens:
        encoded = token.encode("utf-8", "surrogateescape")
        hasher.update(len(encoded).to_bytes(4, "big"))
        hasher.update(encoded)
    return hasher.hexdigest()[:ID_LENGTH]


def block_of(item: Item) -> int:
    """The statistical block of an image, in [0, N_BLOCKS).

    Images of one group share a block, because they are not independent.
    """
    return _unit_hash(item)[0] % N_BLOCKS


def lot_of(item: Item) -> float:
    """A number in [0, 1) that images of one group share, uniform over sampling units and independent of their blocks.

    The units with the smallest numbers are a uniform sample of a dataset, and part of every larger such sample.
    """
    return int.from_bytes(_unit_hash(item)[1:7]) / 2.0**48


def _unit_hash(item: Item) -> bytes:
    unit = f"g\t{item.group}" if item.group is not None else f"i\t{item.digest}"
    return hashlib.sha256(unit.encode("utf-8", "surrogateescape")).digest()


@dataclass(frozen=True)
class Key:
    """A hash and the parts it was computed from, so that a difference can be named."""

    parts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The hash of the parts."""
        return stable_hash(dict(self.parts))

    def differences(self, other: Key) -> list[str]:
        """One readable line for each part in which two keys differ."""
        names = sorted({*self.parts, *other.parts})
        return [
            f"{name}: {self.parts.get(name)!r} against {other.parts.get(name)!r}"
            for name in names
            if self.parts.get(name) != other.parts.get(name)
        ]
