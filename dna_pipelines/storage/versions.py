"""Dataset versions in the lake: commit records and manifests."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dna_pipelines.errors import LakeError
from dna_pipelines.identity import Item, multiset_id
from dna_pipelines.manifests import Manifest, Shard
from dna_pipelines.storage.checksums import json_with_checksum, verified_json
from dna_pipelines.storage.files import put, replace, replace_by_link, write_new
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.manifest_table import manifest_to_parquet, read_manifest, read_members
from dna_pipelines.storage.record_cache import RecordCache
from dna_pipelines.storage.records import Commit, Refreshed, ScanResult, ShardRecord
from dna_pipelines.storage.tables import put_table


class Versions:
    """Commits are numbered; the first writer of a number gets it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = RecordCache()

    def datasets(self) -> list[str]:
        """Every dataset with a commit, also those that are no longer watched."""
        folder = self._layout.root / "datasets"
        return sorted(path.parent.name for path in folder.glob("*/commits"))

    def latest(self, dataset: str) -> Commit | None:
        """The last commit of a dataset; None before the first."""
        numbers = self._numbers(dataset)
        return self.commit(dataset, numbers[-1]) if numbers else None

    def last_seq(self, dataset: str) -> int:
        """The number of the last commit of a dataset; 0 before the first."""
        return max(self._numbers(dataset), default=0)

    def commit(self, dataset: str, seq: int) -> Commit:
        """One commit record."""
        path = self._layout.commit(dataset, seq)
        commit = self._records.read(Commit, path)
        if commit is None:
            raise LakeError(f"{path} is missing; {Commit.repair}", code="lake.missing", path=str(path))
        return commit

    def history(self, dataset: str, last: int | None = None) -> list[Commit]:
        """All commits, or the last so many, oldest first."""
        numbers = self._numbers(dataset)
        return [self.commit(dataset, seq) for seq in (numbers if last is None else numbers[-last:])]

    def manifest(self, commit: Commit) -> Manifest:
        """The manifest of a commit.

        Raises:
            LakeError: when it is missing or damaged. A run writes only that of the last commit again.
        """
        self._require_manifest(commit)
        path = self._layout.manifest(commit.dataset, commit.manifest_id)
        # The ignored files may change while the rows, which give the file its name, do not.
        try:
            manifest = read_manifest(path, commit.shards)
            _require_version(path, manifest.version_id, commit)
            return dataclasses.replace(manifest, n_ignored=commit.n_ignored, n_not_sampled=commit.n_not_sampled)
        except LakeError as error:
            if commit == self.latest(commit.dataset):
                raise
            raise LakeError(
                f"{path} is damaged, and a run does not write manifests of past versions: restore the file from a copy",
                code="lake.past-manifest",
                path=str(path),
                dataset=commit.dataset,
                seq=commit.seq,
            ) from error

    def shards_among(self, commits: Iterable[Commit], digests: Collection[str]) -> Iterator[Shard]:
        """The shards of some commits that may lie wholly among some images, each once.

        Only the manifests of commits that may have such shards are read; missing ones are skipped.
        """
        seen = set[str]()
        for commit in commits:
            # Older records do not have the smallest digest.
            hits = {shard.shard_id for shard in commit.shards if not shard.smallest or shard.smallest in digests} - seen
            if not hits:
                continue
            try:
                shards = self.manifest(commit).shards
            except LakeError:
                continue
            seen |= hits
            yield from (shard for record, shard in zip(commit.shards, shards, strict=True) if record.shard_id in hits)

    def members(self, commit: Commit) -> tuple[list[Item], list[str]]:
        """The readable images of a commit and their paths for display, without the rest of the manifest.

        Raises:
            LakeError: as `manifest`.
        """
        self._require_manifest(commit)
        path = self._layout.manifest(commit.dataset, commit.manifest_id)
        items, paths = read_members(path)
        _require_version(path, multiset_id(items), commit)
        return items, paths

    def has_manifest(self, commit: Commit) -> bool:
        """Whether the manifest of a commit exists (it may be damaged)."""
        return self._layout.manifest(commit.dataset, commit.manifest_id).exists()

    def is_pruned(self, commit: Commit) -> bool:
        """Whether it is a past version whose manifest is missing."""
        return not self.has_manifest(commit) and commit != self.latest(commit.dataset)

    def _require_manifest(self, commit: Commit) -> None:
        if self.is_pruned(commit):
            path = self._layout.manifest(commit.dataset, commit.manifest_id)
            raise LakeError(
                f"version {commit.seq} of {commit.dataset} was pruned (`dna prune`), or {path} was removed: "
                "only its commit remains; choose a later version, or restore the file from a copy",
                code="lake.version-pruned",
                dataset=commit.dataset,
                seq=commit.seq,
                path=str(path),
            )

    def put_manifest(self, dataset: str, manifest: Manifest) -> None:
        """Store a manifest; an existing file stays, unless it is damaged."""
        put_table(self._layout.manifest(dataset, manifest.id), manifest_to_parquet(dataset, manifest))

    def add(
        self,
        dataset: str,
        manifest: Manifest,
        *,
        after: int,
        uri: str,
        place: str = "",
        rules: int = 0,
        reading: dict[str, Any] | None = None,
        raw_version: str,
        settings: str,
        changes: dict[str, int],
        remark: str = "",
    ) -> Commit | None:
        """Commit a manifest after a commit; None if another writer was faster.

        Args:
            dataset: its name.
            manifest: of the new version.
            uri: the location it was read from.
            place, rules, reading: see `Commit`.
            after: the number of the commit that the manifest was made from; 0 for none.
            raw_version: of the listing it was made from.
            settings: see `Commit`.
            changes: counts of the diff.
            remark: see `Commit`.
        """
        self.put_manifest(dataset, manifest)
        commit = Commit(
            dataset=dataset,
            uri=uri,
            place=place,
            rules=rules,
            reading=reading or {},
            seq=after + 1,
            version_id=manifest.version_id,
            manifest_id=manifest.id,
            raw_version=raw_version,
            settings=settings,
            n_images=len(manifest.readable),
            n_quarantined=len(manifest.quarantined),
            n_lost=manifest.n_unreadable - len(manifest.quarantined),
            n_unknown=manifest.n_unknown,
            n_ignored=manifest.n_ignored,
            n_not_sampled=manifest.n_not_sampled,
            n_unsettled=len(manifest.unsettled),
            n_to_retry=manifest.n_to_retry,
            n_groups=len({row.group for row in manifest.readable if row.group is not None}),
            n_bytes=sum({row.file: row.size_bytes for row in manifest.readable}.values()),
            shards=tuple(
                ShardRecord(
                    shard_id=shard.id,
                    n_images=len(shard),
                    parents=shard.parents,
                    smallest=min(item.digest for item in shard.items),
                )
                for shard in manifest.shards
            ),
            changes=changes,
            remark=remark,
            created_at=now(),
        )
        if not write_new(self._layout.commit(dataset, commit.seq), commit.to_bytes()):
            return None
        self.point_at(commit)
        return commit

    def scan_result(self, dataset: str) -> ScanResult | None:
        """The last scan that showed a change of the dataset's location; None before the first."""
        return self._records.read(ScanResult, self._layout.scan_result(dataset))

    def put_scan_result(self, dataset: str, scan_result: ScanResult) -> None:
        """Record a scan that showed a change of a dataset's location."""
        replace(self._layout.scan_result(dataset), scan_result.to_bytes())

    def scanned(self) -> dict[str, float]:
        """When each dataset's location was scanned last, in seconds since 1970."""
        try:
            found = json.loads(verified_json(self._layout.scanned.read_bytes()))
            return {str(name): float(at) for name, at in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            # Nothing depends on it: the locations are scanned once more.
            return {}

    def note_scanned(self, dataset: str, at: float) -> None:
        """Record that a dataset's location was scanned, whether or not that succeeded."""
        data = json_with_checksum(json.dumps({**self.scanned(), dataset: at}).encode())
        replace(self._layout.scanned, data)

    def refreshed_at_ns(self, dataset: str) -> int:
        """When the last refresh that succeeded began to list the location, in nanoseconds since 1970.

        0 before the first, or if the clock was wrong.
        """
        record = self._records.read(Refreshed, self._layout.refreshed(dataset))
        return record.at_ns if record and record.at_ns <= time.time_ns() else 0

    def put_refreshed(self, dataset: str, at_ns: int) -> None:
        """Record that a refresh ingested everything that the location held at a moment."""
        replace(self._layout.refreshed(dataset), Refreshed(at_ns=at_ns).to_bytes())

    def point_at(self, commit: Commit) -> None:
        """Link the manifest of a commit as the current one for SQL; where it is missing, nothing changes."""
        source = self._layout.manifest(commit.dataset, commit.manifest_id)
        target = self._layout.current_manifest(commit.dataset)
        if not source.exists() or (target.exists() and target.samefile(source)):
            return
        try:
            replace_by_link(target, source)
        except LakeError:
            # In a read-only copy of a lake the link is a file with the same content.
            if not target.exists() or target.read_bytes() != source.read_bytes():
                raise

    def register(self, watched: list[dict[str, Any]]) -> None:
        """Record the watched datasets, for SQL; unchanged records are not written."""
        data = json.dumps(watched, indent=1, sort_keys=True).encode()
        put(self._layout.registry, json_with_checksum(data))

    def _numbers(self, dataset: str) -> list[int]:
        try:
            names = os.listdir(self._layout.commits(dataset))
        except (FileNotFoundError, NotADirectoryError):
            return []
        # The folder may have other files, such as backups.
        return sorted(int(match[1]) for name in names if (match := re.fullmatch(r"([0-9]{8,})\.json", name)))


def _require_version(path: Path, version_id: str, commit: Commit) -> None:
    """Raise an error where the images of a manifest are not those of its commit."""
    if version_id != commit.version_id:
        raise LakeError(
            f"{path} has other images than commit {commit.seq} of {commit.dataset}: one of the two is damaged or not "
            "its own; restore both from a copy",
            code="lake.damaged",
            path=str(path),
            version_id=version_id,
        )


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
