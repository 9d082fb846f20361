"""What happened between two manifests of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from dna_pipelines.manifests.manifest import ImageRow, Manifest

_WORDS = {
    "quarantined": "{:,} left out, unreadable",
    "described": "metadata of {:,} images changed",
    "regrouped": "groups of {:,} images changed",
}


@dataclass(frozen=True)
class ManifestDiff:
    """Rows by what became of them; what was there before and after pairs the old row with the new one.

    `quarantined` are files that cannot be read and were not among those that could not be before.
    `described` are those of which something else is said: the bytes are the same, the metadata are not.
    `regrouped` are those of the same bytes in another group.
    """

    added: tuple[ImageRow, ...] = ()
    removed: tuple[ImageRow, ...] = ()
    changed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    renamed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    quarantined: tuple[ImageRow, ...] = ()
    described: tuple[tuple[ImageRow, ImageRow], ...] = ()
    regrouped: tuple[tuple[ImageRow, ImageRow], ...] = ()

    def counts(self) -> dict[str, int]:
        """How many of each, for metadata and messages."""
        return {field.name: len(getattr(self, field.name)) for field in fields(self)}


def in_words(changes: Mapping[str, int]) -> str:
    """Counts of a diff, for people; empty when nothing changed."""
    return ", ".join(_WORDS.get(what, "{:,} " + what).format(count) for what, count in changes.items() if count)


def diff_manifests(old: Manifest | None, new: Manifest) -> ManifestDiff:
    """Compare readable rows by path and digest.

    A path with other bytes is *changed*; bytes that left one path and came to another are *renamed*.
    """
    before = {row.path: row for row in old.readable} if old else {}
    after = {row.path: row for row in new.readable}
    gone = [row for path, row in before.items() if path not in after]
    come = [row for path, row in after.items() if path not in before]
    changed = tuple(
        (before[path], row) for path, row in after.items() if path in before and before[path].digest != row.digest
    )
    vanished: dict[str | None, list[ImageRow]] = {}
    for row in gone:
        vanished.setdefault(row.digest, []).append(row)
    renamed: list[tuple[ImageRow, ImageRow]] = []
    added: list[ImageRow] = []
    for row in come:
        if candidates := vanished.get(row.digest):
            renamed.append((candidates.pop(0), row))
        else:
            added.append(row)
    moved = {row.path for row, _ in renamed}
    removed = tuple(row for row in gone if row.path not in moved)
    known = {row.path for row in old.quarantined} if old else set()
    quarantined = tuple(row for row in new.quarantined if row.path not in known)
    same = [(was, row) for path, row in after.items() if (was := before.get(path)) and was.digest == row.digest]
    described = tuple((was, row) for was, row in same if (was.metadata or {}) != (row.metadata or {}))
    regrouped = tuple((was, row) for was, row in same if was.group != row.group)
    return ManifestDiff(tuple(added), removed, changed, tuple(renamed), quarantined, described, regrouped)
