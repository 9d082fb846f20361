"""Which files of the lake are no longer needed once versions are pruned."""

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

UNKNOWN_FILE_S = 24 * 3600.0
"""What belongs to no version and no DNA is removed when it is older: younger, a run may be writing it."""


@dataclass(frozen=True)
class Ids:
    """What a set of versions is made of."""

    dnas: frozenset[str]
    shards: Mapping[str, tuple[str, ...]]
    """Each with those it was joined from, which stand in for it until it has a partial of its own."""
    manifests: frozenset[str]


@dataclass(frozen=True)
class Unneeded:
    """A file that is no longer needed.

    Attributes:
        of: what it is a part of: the id of a DNA, a shard or a manifest, or the name of the file.
    """

    kind: Kind
    of: str
    path: Path


def unneeded(layout: Layout, kept: Ids, pruned: Ids) -> Iterator[Unneeded]:
    """Files of pruned versions that no kept one needs, and old ones that belong to neither.

    In the order in which they can be removed: what is known by a record alone before it, and a DNA's tables after it.
    """
    removed = pruned.dnas - kept.dnas
    for path in _beside(layout.neuron_distances("a", "b")):
        if not removed.isdisjoint(path.stem.split("-")):
            yield Unneeded("neuron table", path.stem, path)
    dnas = [layout.dna_record("x"), *(layout.dna(table, "x") for table in DNA_TABLES)]
    for place in dnas:
        for path in _beside(place):
            if _goes(path, kept.dnas, pruned.dnas):
                yield Unneeded("DNA", path.stem, path)
    for folder in sorted((layout.root / "partials").glob("[!.]*")):
        yield from _partials(layout, folder.name, kept, pruned)
    for folder in sorted((layout.root / "datasets").glob("[!.]*")):
        for path in _beside(layout.manifest(folder.name, "x")):
            if _goes(path, kept.manifests, pruned.manifests):
                yield Unneeded("manifest", path.stem, path)


def note_use(record: Path) -> None:
    """Note that a DNA was asked for, on its record's time; a lake that cannot be written stays as it is."""
    with suppress(OSError):
        os.utime(record)


def last_use(record: Path) -> float | None:
    """When a DNA was made or asked for last, in seconds since 1970; None where it is missing."""
    try:
        return record.stat().st_mtime
    except FileNotFoundError:
        return None


def _partials(layout: Layout, compute_key: str, kept: Ids, pruned: Ids) -> Iterator[Unneeded]:
    files = [_beside(layout.partial(compute_key, table, "x")) for table in TABLES]
    complete = set.intersection(*({path.stem for path in some} for some in files))
    needed = kept.shards.keys() | {
        parent for shard, parents in kept.shards.items() if shard not in complete for parent in parents
    }
    for some in files:
        for path in some:
            if _goes(path, needed, pruned.shards.keys()):
                yield Unneeded("partial", path.stem, path)


def _goes(path: Path, kept: AbstractSet[str], pruned: AbstractSet[str]) -> bool:
    if path.stem in kept:
        return False
    try:
        return path.stem in pruned or time.time() - path.stat().st_mtime > UNKNOWN_FILE_S
    except FileNotFoundError:
        # Another process prunes, too.
        return False


def _beside(place: Path) -> list[Path]:
    """The files in the folder of a file, drafts aside."""
    return sorted(place.parent.glob(f"[!.]*{place.suffix}"))
