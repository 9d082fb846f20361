"""Which DNAs of slices and samples can be removed with the versions that are pruned."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from dna_pipelines.errors import LakeError
from dna_pipelines.project.partials import partial_location
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.removal import UNKNOWN_FILE_S, last_use

Commits = Mapping[str, list[Commit]]
"""By dataset, oldest first."""


class SliceRule:
    """Decides about DNAs that are of no version: those of slices and samples, and of versions whose commits are lost.

    A DNA belongs to the dataset that its record names. Records from before that field existed name none, and neither
    does a dataset help of which no commit is left: then the DNA belongs to every dataset of which a manifest has all
    of its images.

    A DNA that belongs to a dataset is removed when it was last used before the dataset's first kept version, unless
    a kept version has its images and they can no longer be read. A DNA that belongs to no dataset cannot be asked for
    again; it is removed when it was last used more than a day ago. Whatever cannot be decided stays.

    Args:
        project: whose lake.
        kept: the kept commits of every dataset.
        pruned: the others.
    """

    def __init__(self, project: ProjectFolder, kept: Commits, pruned: Commits) -> None:
        self._project = project
        self._kept, self._pruned = kept, pruned
        self._watched = {dataset.name for dataset in project.config().datasets}
        self._of_commits: dict[str, frozenset[str]] = {}

    def removable(self, records: Sequence[DnaRecord]) -> set[str]:
        """The ids of those DNAs that can be removed."""
        removable, unassigned = set[str](), dict[str, frozenset[str]]()
        used = {one.dna_id: last_use(self._project.lake.layout.dna_record(one.dna_id)) for one in records}
        for record in records:
            named = record.dataset in self._kept
            if named and not self._unused(used[record.dna_id], record.dataset):
                continue
            if (digests := self._digests(record)) is None:
                continue
            if not named:
                unassigned[record.dna_id] = digests
            elif self._expendable(digests, record.dataset):
                removable.add(record.dna_id)
        for identity, datasets in self._owners(unassigned).items():
            at, digests = used[identity], unassigned[identity]
            if not datasets:
                fits = at is not None and at < time.time() - UNKNOWN_FILE_S
            else:
                fits = all(self._unused(at, name) and self._expendable(digests, name) for name in datasets)
            if fits:
                removable.add(identity)
        return removable

    def _unused(self, used: float | None, dataset: str) -> bool:
        """Whether the last use was before the first kept version of a dataset that loses versions."""
        if used is None or not self._pruned[dataset]:
            return False
        return used < datetime.fromisoformat(self._kept[dataset][0].created_at).timestamp()

    def _expendable(self, digests: frozenset[str], dataset: str) -> bool:
        """Whether images can be read again, or no kept version of a dataset has them all."""
        commits = self._kept[dataset]
        try:
            if dataset in self._watched and digests <= self._of_version(commits[-1]):
                return True
            return not any(digests <= self._of_version(commit) for commit in commits)
        except LakeError:
            return False

    def _digests(self, record: DnaRecord) -> frozenset[str] | None:
        """The images of a DNA; None where a partial of it is lost."""
        store, digests = self._project.lake.fingerprints, set[str]()
        try:
            for shard in record.shards:
                digests |= store.partial_digests(partial_location(self._project, record, shard), shard)
        except LakeError:
            return None
        return frozenset(digests)

    def _of_version(self, commit: Commit) -> frozenset[str]:
        if commit.manifest_id not in self._of_commits:
            self._of_commits[commit.manifest_id] = self._read_version(commit)
        return self._of_commits[commit.manifest_id]

    def _read_version(self, commit: Commit) -> frozenset[str]:
        items, _ = self._project.lake.versions.members(commit)
        return frozenset(item.digest for item in items)

    def _owners(self, unassigned: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
        """For each DNA the datasets of which a manifest that is still there has all of its images.

        One manifest is held at a time: this reads those of all datasets.
        """
        owners: dict[str, set[str]] = {identity: set() for identity in unassigned}
        for dataset in self._kept if unassigned else ():
            commits = {one.manifest_id: one for one in (*self._pruned[dataset], *self._kept[dataset])}
            for commit in commits.values():
                open_ones = [identity for identity in unassigned if dataset not in owners[identity]]
                if not open_ones or not self._project.lake.versions.has_manifest(commit):
                    continue
                try:
                    there = self._read_version(commit)
                except LakeError:
                    # What a damaged manifest has is unknown: it may be any of them.
                    there = None
                for identity in open_ones:
                    if there is None or unassigned[identity] <= there:
                        owners[identity].add(dataset)
        return owners
