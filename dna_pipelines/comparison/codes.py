"""Near-duplicates: which sign codes lie within a Hamming distance of each other.

Every pair is looked at, which is exact whatever the codes are like; bits of neurons are correlated, so buckets of
equal pieces (multi-index hashing) would hold far more pairs than random codes give. A pair is skipped as soon as its
first words are too far apart.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.errors import UserError

MOST_PAIRS = 2_000_000
"""More pairs than this are refused: they would say that the distance is too large, and fill the memory."""

_ROWS_A_TASK = 256
"""Rows of the left side that one task compares."""


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of rows of two sets of codes: (n_pairs,) each, in the order of first and second."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n_bits: NDArray[np.int64]
    """How many bits differ."""


def near_pairs(
    a: NDArray[np.uint8], b: NDArray[np.uint8] | None, most_bits: int, most_pairs: int = MOST_PAIRS
) -> NearPairs:
    """All pairs whose codes differ in at most so many bits.

    Memory is that of the codes and of the pairs within the distance.

    Args:
        a: (n_images, n_bytes).
        b: likewise; None for the pairs within a, each once.
        most_bits: the largest Hamming distance.
        most_pairs: see `MOST_PAIRS`.

    Raises:
        ValueError: when the codes have different lengths.
        UserError: when there are more pairs than that.
    """
    from dna_pipelines.comparison.kernels import scan_codes

    left = words(a)
    right = left if b is None else words(b)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"codes of {left.shape[1]} and {right.shape[1]} words cannot be compared")

    def task(start: int) -> tuple[NDArray[np.int32], int]:
        stop, room = min(start + _ROWS_A_TASK, len(left)), 1024
        while True:
            pairs = np.empty((room, 3), np.int32)
            n_near = int(scan_codes(left, right, start, stop, most_bits, b is None, pairs))
            if n_near <= room:
                return pairs[:n_near], n_near
            if n_near > most_pairs:
                return pairs[:0], n_near
            room = n_near

    parts, n_pairs = [], 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part, n_near in pool.map(task, range(0, len(left), _ROWS_A_TASK)):
            n_pairs += n_near
            if n_pairs > most_pairs:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    f"more than {most_pairs:,} pairs of images differ in at most {most_bits} bits; "
                    "ask for a smaller distance",
                    code="compare.too-many-pairs",
                    most_pairs=most_pairs,
                    most_bits=most_bits,
                )
            parts.append(part)
    every = np.concatenate(parts).astype(np.int64) if parts else np.empty((0, 3), np.int64)
    every = every[np.lexsort((every[:, 1], every[:, 0]))]
    return NearPairs(every[:, 0], every[:, 1], every[:, 2])


def words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Codes as words of 64 bits, filled up with zeros."""
    n_words = max(1, -(-codes.shape[1] // 8))
    padded = np.zeros((len(codes), 8 * n_words), np.uint8)
    padded[:, : codes.shape[1]] = codes
    return padded.view(np.uint64)
