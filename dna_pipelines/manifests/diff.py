"""The differences between two manifests of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from dna_pipelines.manifests.manifest import ImageRow, Manifest

_WORDS = {
    "quarantined": "{:,} unreadable",
    "described": "metadata of {:,} images changed",
    "regrouped": "groups of {:,} images changed",
    "reread": "reading of {:,} images changed",
}


@dataclass(frozen=True)
class ManifestDiff:
    """The rows that differ, by kind of change; a pair holds the old row and the new one.

    Attributes:
        added: new files.
        removed: files that no longer exist.
        changed: files with other bytes.
        renamed: bytes that moved to another path.
        quarantined: files that cannot be read now and were not quarantined before.
        described: files with the same bytes and other metadata.
        regrouped: files with the same bytes in another group.
        reread: files with the same bytes and other pixels, because the dataset declares another reading, or the rules
            of decoding changed.
    """

    added: tuple[ImageRow, ...] = ()
    removed: tuple[ImageRow, ...] = ()
    changed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    renamed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    quarantined: tuple[ImageRow, ...] = ()
    described: tuple[tuple[ImageRow, ImageRow], ...] = ()
    regrouped: tuple[tuple[ImageRow, ImageRow], ...] = ()
    reread: tuple[tuple[ImageRow, ImageRow], ...] = ()

    def counts(self) -> dict[str, int]:
        """The number of rows by kind of change."""
        return {field.name: len(getattr(self, field.name)) for field in fields(self)}


def images_changed(changes: Mapping[str, int]) -> bool:
    """Whether counts of a diff have another image, and not other names, groups or metadata alone."""
    return any(changes.get(what) for what in ("added", "removed", "changed", "reread"))


def in_words(changes: Mapping[str, int]) -> str:
    """Counts of a diff as text; empty when nothing changed."""
    return ", ".join(_WORDS.get(what, "{:,} " + what).format(count) for what, count in changes.items() if count)


def diff_manifests(old: Manifest | None, new: Manifest) -> ManifestDiff:
    """Compare readable rows by path and digest.

    A path with other bytes is *changed*; bytes that moved from one path to another are *renamed*.
    """
    before = {row.path: row for row in old.readable} if old else {}
    after = {row.path: row for row in new.readable}
    disappeared = [row for path, row in before.items() if path not in after]
    appeared = [row for path, row in after.items() if path not in before]
    other = [(was, row) for path, row in after.items() if (was := before.get(path)) and was.digest != row.digest]
    changed = tuple((was, row) for was, row in other if was.of_file != row.of_file)
    reread = tuple((was, row) for was, row in other if was.of_file == row.of_file)
    by_digest: dict[str | None, list[ImageRow]] = {}
    for row in disappeared:
        by_digest.setdefault(row.digest, []).append(row)
    renamed: list[tuple[ImageRow, ImageRow]] = []
    added: list[ImageRow] = []
    for row in appeared:
        if candidates := by_digest.get(row.digest):
            renamed.append((candidates.pop(0), row))
        else:
            added.append(row)
    moved = {row.path for row, _ in renamed}
    removed = tuple(row for row in disappeared if row.path not in moved)
    known = {row.path for row in old.quarantined} if old else set()
    quarantined = tuple(row for row in new.quarantined if row.path not in known)
    same = [(was, row) for path, row in after.items() if (was := before.get(path)) and was.digest == row.digest]
    described = tuple((was, row) for was, row in same if (was.metadata or {}) != (row.metadata or {}))
    regrouped = tuple((was, row) for was, row in same if was.group != row.group)
    return ManifestDiff(tuple(added), removed, changed, tuple(renamed), quarantined, described, regrouped, reread)
