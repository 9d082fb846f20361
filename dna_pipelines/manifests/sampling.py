"""Sampling a listing: a hash of the seed and of each path alone decides whether a file belongs to the sample.

Added and removed files therefore change the sample in proportion: with a limit, one per cent more files replace about
one per cent of the sample; with `every`, files of the sample stay in it. A renamed file counts as another file.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from hashlib import blake2b

from dna_pipelines.config import DatasetConfig
from dna_pipelines.sources import Entry

_ALL = 2**64


def sample(entries: Sequence[Entry], config: DatasetConfig) -> list[Entry]:
    """The sampled entries, in the order of `entries`.

    An entry for a whole container (a folder that cannot be listed, a damaged or missing archive) is always part of
    the sample and does not count, because the number of its images is unknown.
    """
    if config.every == 1 and config.limit is None:
        return list(entries)
    key = str(config.seed).encode()
    below = _ALL // config.every
    always, drawn = [], []
    for index, entry in enumerate(entries):
        if entry.is_container:
            always.append(index)
        elif (rank := _rank(entry.path, key)) < below:
            drawn.append((rank, index))
    if config.limit is not None:
        drawn = heapq.nsmallest(config.limit, drawn)
    return [entries[index] for index in sorted([*always, *(index for _, index in drawn)])]


def _rank(path: bytes, key: bytes) -> int:
    """A pseudo-random number below 2^64."""
    return int.from_bytes(blake2b(path, digest_size=8, key=key[:64]).digest(), "big")
