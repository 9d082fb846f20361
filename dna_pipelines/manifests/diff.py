"""What happened between two manifests of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dna_pipelines.manifests.manifest import ImageRow, Manifest


@dataclass(frozen=True)
class ManifestDiff:
    """Rows by what became of them; `changed` and `renamed` pair the old row with the new one.

    `quarantined` are files that cannot be read and were not among those that could not be before.
    """

    added: tuple[ImageRow, ...] = ()
    removed: tuple[ImageRow, ...] = ()
    changed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    renamed: tuple[tuple[ImageRow, ImageRow], ...] = ()
    quarantined: tuple[ImageRow, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many of each, for metadata and messages."""
        return {field.name: len(getattr(self, field.name)) for field in fields(self)}


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
    return ManifestDiff(tuple(added), removed, changed, tuple(renamed), quarantined)
