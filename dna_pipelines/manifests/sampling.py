"""Sampling a listing: which files are taken is decided by a hash of the seed and of each path alone.

So files that come or go change the sample in proportion: with a limit, one per cent more files replace about
one per cent of those taken; with `every`, what is taken stays taken. A renamed file is another file here.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from hashlib import blake2b

from dna_pipelines.config import DatasetConfig
from dna_pipelines.sources import Entry

_ALL = 2**64


def sample(entries: Sequence[Entry], config: DatasetConfig) -> list[Entry]:
    """The entries to take, in the order of `entries`.

    What stands for a whole container (a folder that cannot be listed, a damaged archive, a missing one) is always
    among them and does not count: nobody knows how many images it stands for.
    """
    if config.every == 1 and config.limit is None:
        return list(entries)
    key = str(config.seed).encode()
    below = _ALL // config.every
    always, drawn = [], []
    for place, entry in enumerate(entries):
        if entry.is_container:
            always.append(place)
        elif (rank := _rank(entry.path, key)) < below:
            drawn.append((rank, place))
    if config.limit is not None:
        drawn = heapq.nsmallest(config.limit, drawn)
    return [entries[place] for place in sorted([*always, *(place for _, place in drawn)])]


def _rank(path: bytes, key: bytes) -> int:
    """A number below 2^64, as good as drawn at random."""
    return int.from_bytes(blake2b(path, digest_size=8, key=key[:64]).digest(), "big")
