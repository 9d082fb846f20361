"""The files of the lake that are no longer needed once versions are pruned."""

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
"""Files of no version and no DNA are removed when they are older; a run may be writing younger ones."""


@dataclass(frozen=True)
class Ids:
    """The DNAs, shards and manifests of a set of versions."""

    dnas: frozenset[str]
    shards: Mapping[str, tuple[str, ...]]
    """Each with the shards it was joined from, whose partials are used until it has its own."""
    manifests: frozenset[str]


@dataclass(frozen=True)
class Unneeded:
    """A file that is no longer needed.

    Attributes:
        of: the id of its DNA, shard or manifest, or the name of the file.
    """

    kind: Kind
    of: str
    path: Path


def unneeded(layout: Layout, kept: Ids, pruned: Ids) -> Iterator[Unneeded]:
    """Files of pruned versions that no kept version needs, and old files that belong to neither.

    They come in an order in which they can be removed: the record of a DNA before its tables, and after the files that
    only the record leads to.
    """
    removed = pruned.dnas - kept.dnas
    for path in _beside(layout.neuron_distances("a", "b")):
        if not removed.isdisjoint(path.stem.split("-")):
            yield Unneeded("neuron table", path.stem, path)
    dnas = [layout.dna_record("x"), *(layout.dna(table, "x") for table in DNA_TABLES)]
    for table in dnas:
        for path in _beside(table):
            if _is_unneeded(path, kept.dnas, pruned.dnas):
                yield Unneeded("DNA", path.stem, path)
    for folder in sorted((layout.root / "partials").glob("[!.]*")):
        yield from _partials(layout, folder.name, kept, pruned)
    for folder in sorted((layout.root / "datasets").glob("[!.]*")):
        for path in _beside(layout.manifest(folder.name, "x")):
            if _is_unneeded(path, kept.manifests, pruned.manifests):
                yield Unneeded("manifest", path.stem, path)


def note_use(record: Path) -> None:
    """Set the time of a DNA's record to now; a lake that is read-only stays as it is."""
    with suppress(OSError):
        os.utime(record)


def last_use(record: Path) -> float | None:
    """When a DNA was made or used last, in seconds since 1970; None where it is missing."""
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
            if _is_unneeded(path, needed, pruned.shards.keys()):
                yield Unneeded("partial", path.stem, path)


def _is_unneeded(path: Path, kept: AbstractSet[str], pruned: AbstractSet[str]) -> bool:
    if path.stem in kept:
        return False
    try:
        return path.stem in pruned or time.time() - path.stat().st_mtime > UNKNOWN_FILE_S
    except FileNotFoundError:
        # Another process prunes, too.
        return False


def _beside(file: Path) -> list[Path]:
    """The files in the folder of a file, without drafts."""
    return sorted(file.parent.glob(f"[!.]*{file.suffix}"))
