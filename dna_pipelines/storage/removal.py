"""Which files of the lake nobody needs once versions are given up."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.measure_tables import DNA_TABLES, TABLES

Kind = Literal["DNA", "neuron table", "partial", "manifest"]

_STRANGE_S = 24 * 3600.0
"""What belongs to no version and no DNA is removed when it is older: younger, a run may be at it."""


@dataclass(frozen=True)
class Ids:
    """What a set of versions is made of."""

    dnas: frozenset[str]
    shards: Mapping[str, tuple[str, ...]]
    """Each with those it was joined from, which stand in for it until it has a partial of its own."""
    manifests: frozenset[str]


@dataclass(frozen=True)
class Unneeded:
    """A file that nobody needs.

    Attributes:
        of: what it is a part of: the id of a DNA, a shard or a manifest, or the name of the file.
    """

    kind: Kind
    of: str
    path: Path


def unneeded(layout: Layout, kept: Ids, given_up: Ids) -> Iterator[Unneeded]:
    """Files of given-up versions that no kept one needs, and old ones that belong to neither.

    In the order in which they can be removed: what is known by a record alone before it, and a DNA's tables after it.
    """
    gone = given_up.dnas - kept.dnas
    for path in _beside(layout.neuron_distances("a", "b")):
        if not gone.isdisjoint(path.stem.split("-")):
            yield Unneeded("neuron table", path.stem, path)
    dnas = [layout.dna_record("x"), *(layout.dna(table, "x") for table in DNA_TABLES)]
    for place in dnas:
        for path in _beside(place):
            if _goes(path, kept.dnas, given_up.dnas):
                yield Unneeded("DNA", path.stem, path)
    for folder in sorted((layout.root / "partials").glob("[!.]*")):
        yield from _partials(layout, folder.name, kept, given_up)
    for folder in sorted((layout.root / "datasets").glob("[!.]*")):
        for path in _beside(layout.manifest(folder.name, "x")):
            if _goes(path, kept.manifests, given_up.manifests):
                yield Unneeded("manifest", path.stem, path)


def note_use(record: Path) -> None:
    """Note that a DNA was asked for, on its record's time; a lake that cannot be written stays as it is."""
    with suppress(OSError):
        os.utime(record)


def last_use(record: Path) -> float | None:
    """When a DNA was made or asked for last, in seconds since 1970; None where it is gone."""
    try:
        return record.stat().st_mtime
    except FileNotFoundError:
        return None


def _partials(layout: Layout, compute_key: str, kept: Ids, given_up: Ids) -> Iterator[Unneeded]:
    files = [_beside(layout.partial(compute_key, table, "x")) for table in TABLES]
    complete = set.intersection(*({path.stem for path in some} for some in files))
    needed = kept.shards.keys() | {
        parent for shard, parents in kept.shards.items() if shard not in complete for parent in parents
    }
    for some in files:
        for path in some:
            if _goes(path, needed, given_up.shards.keys()):
                yield Unneeded("partial", path.stem, path)


def _goes(path: Path, kept: AbstractSet[str], given_up: AbstractSet[str]) -> bool:
    if path.stem in kept:
        return False
    try:
        return path.stem in given_up or time.time() - path.stat().st_mtime > _STRANGE_S
    except FileNotFoundError:
        # Somebody else removes them, too.
        return False


def _beside(place: Path) -> list[Path]:
    """The files in the folder of a file, drafts aside."""
    return sorted(place.parent.glob(f"[!.]*{place.suffix}"))
