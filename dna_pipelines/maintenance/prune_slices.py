"""The DNAs of slices and samples that can be removed with pruned versions."""

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
    """The rule for DNAs of no version: those of slices and samples, and of versions whose commits are missing.

    A DNA belongs to the dataset that its record names. Older records name none, and a dataset may have no commits any
    more: then the DNA belongs to every dataset of which a manifest has all of its images.

    A DNA that belongs to a dataset is removed when it was last used before the dataset's first kept version, unless
    a kept version has its images and they can no longer be read. A DNA that belongs to no dataset cannot be used again;
    it is removed when it was last used more than a day ago. A DNA that cannot be decided about is kept.

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
        layout = self._project.lake.layout
        used = {record.dna_id: last_use(layout.dna_record(record.dna_id)) for record in records}
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
                is_removable = at is not None and at < time.time() - UNKNOWN_FILE_S
            else:
                is_removable = all(self._unused(at, name) and self._expendable(digests, name) for name in datasets)
            if is_removable:
                removable.add(identity)
        return removable

    def _unused(self, used: float | None, dataset: str) -> bool:
        """Whether the last use was before the first kept version of a dataset with pruned versions."""
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
        """The images of a DNA; None where a partial of it is missing or damaged."""
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
        """For each DNA, the datasets of which an existing manifest has all of its images.

        This reads the manifests of all datasets, one at a time.
        """
        owners: dict[str, set[str]] = {identity: set() for identity in unassigned}
        for dataset in self._kept if unassigned else ():
            every = (*self._pruned[dataset], *self._kept[dataset])
            commits = {commit.manifest_id: commit for commit in every}
            for commit in commits.values():
                undecided = [identity for identity in unassigned if dataset not in owners[identity]]
                if not undecided or not self._project.lake.versions.has_manifest(commit):
                    continue
                try:
                    digests = self._read_version(commit)
                except LakeError:
                    # A damaged manifest may have any of the images.
                    digests = None
                for identity in undecided:
                    if digests is None or unassigned[identity] <= digests:
                        owners[identity].add(dataset)
        return owners
