"""How many images are missing in the folders, archives and tables that cannot be read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from dna_pipelines.manifests.manifest import PROBLEMS, Manifest
from dna_pipelines.sources import Entry


def lost_images(entries: Sequence[Entry], previous: Manifest | None) -> dict[bytes, int]:
    """By the path of each container that cannot be read, the number of images that it held and no longer shows.

    A container of which a part is read, or was, counts as one image at least. One that was never read has 0: how many
    images are missing is not known.

    Args:
        entries: a listing.
        previous: the manifest before. Images count as held from scan to scan, until the container can be read.
    """
    containers = [entry for entry in entries if entry.holds is not None]
    if not containers:
        return {}
    listed = sorted(entry.path for entry in entries if not entry.problem)
    lost_before = previous.lost if previous else {}
    # With those that could not be read either, such as the last member of an archive that was cut before.
    rows = previous.rows if previous else ()
    # The pages of a file are not listed: it counts once.
    held = sorted({row.file for row in rows if row.signature not in PROBLEMS and row.path not in lost_before})
    lost = {}
    for entry in containers:
        n_listed = _count(listed, entry.holds or b"")
        n_held = _count(held, entry.holds or b"") + lost_before.get(entry.path, 0)
        lost[entry.path] = max(n_held - n_listed, 1) if n_held or n_listed else 0
    return lost


def _count(paths: Sequence[bytes], beginning: bytes) -> int:
    """How many of the sorted paths begin so; `beginning` is empty or ends with a slash."""
    if not beginning:
        return len(paths)
    after = beginning[:-1] + bytes([beginning[-1] + 1])
    return bisect_left(paths, after) - bisect_left(paths, beginning)
