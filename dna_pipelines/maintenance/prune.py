"""Giving up old versions: their DNAs, manifests and those partials that no kept version needs.

Commits, distances of layers and verdicts stay: what happened is still told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from dna_pipelines.analysis.significance.subsample import SAMPLE_OF
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.project.partials import partial_place
from dna_pipelines.project.progress import counted
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import distinct_versions
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.files import remove
from dna_pipelines.storage.removal import Ids, last_use, unneeded

Commits = dict[str, list[Commit]]
"""By dataset, oldest first."""

FEWEST = 2
"""Versions that are kept at least: what a dataset is, and what it was before, with which the matrix compares it."""


@dataclass
class Pruned:
    """What was removed, or would be.

    Attributes:
        n_versions: by dataset, how many versions are no longer there; datasets that lose none are missing.
        n_removed: by kind, how many DNAs, partials, … (each is several files).
        n_bytes: of all of them.
    """

    n_versions: dict[str, int]
    n_removed: Counter[str] = field(default_factory=Counter)
    n_bytes: int = 0

    def __str__(self) -> str:
        """What was removed, in words."""
        parts = [counted(count, kind) for kind, count in self.n_removed.items()]
        return f"{', '.join(parts)} ({self.n_bytes / 1e6:,.1f} MB)" if parts else "nothing"


def prune(project: ProjectFolder, keep: int, *, dry_run: bool = False) -> Pruned:
    """Keep the last versions of every dataset, and remove what the others alone needed.

    What was not measured yet is never given up, so a run beside it keeps what it makes. One that goes back to a
    given-up version at that moment may fail, and succeeds when it is tried again.

    Args:
        project: whose lake.
        keep: how many versions of a dataset, at least `FEWEST`; commits of one version count once.
        dry_run: remove nothing.

    Raises:
        LakeError: when the commits of a dataset cannot be read, or a file not be removed.
    """
    versions = project.lake.versions
    # A folder of commits is there before the first commit.
    histories = {name: commits for name in versions.datasets() if (commits := versions.history(name))}
    first = {name: _first_kept(project, name, commits, keep) for name, commits in histories.items()}
    kept = {name: [one for one in commits if one.seq >= first[name].seq] for name, commits in histories.items()}
    old = {name: [one for one in commits if one.seq < first[name].seq] for name, commits in histories.items()}
    kept_ids, given_up = _divided(project, kept, old)
    gone = {
        (name, one.version_id)
        for name, commits in old.items()
        for one in commits
        if one.manifest_id not in kept_ids.manifests and versions.has_manifest(one)
    }
    pruned, seen = Pruned(dict(Counter(name for name, _ in sorted(gone)))), set[tuple[str, str]]()
    for one in unneeded(project.lake.layout, kept_ids, given_up):
        with suppress(FileNotFoundError):
            pruned.n_bytes += one.path.stat().st_size
        pruned.n_removed[one.kind] += (one.kind, one.of) not in seen
        seen.add((one.kind, one.of))
        if not dry_run:
            remove(one.path)
    return pruned


def prune_as_configured(project: ProjectFolder) -> Pruned | None:
    """`prune` as the datasets file asks for it; None where it does not.

    Raises:
        ConfigError: when that file cannot be read.
        LakeError: as `prune`.
    """
    keep = project.config().keep_versions
    return prune(project, keep) if keep else None


def _first_kept(project: ProjectFolder, dataset: str, commits: list[Commit], keep: int) -> Commit:
    """The first commit of the last so many versions, and not after the last one that was measured.

    So what a run is at work on stays, however many versions come meanwhile, and so does the last DNA there is while
    newer versions are held back.
    """
    distinct = distinct_versions(commits)
    before = distinct[-keep - 1].seq if len(distinct) > keep else 0
    if any(one.name == dataset for one in project.config().datasets):
        for extractor in project.config().extractors:
            if record := project.lake.fingerprints.extractor(extractor.name):
                before = min(before, _last_measured(project, record.comparability_key, commits) - 1)
    return next(commit for commit in commits if commit.seq > before)


def _last_measured(project: ProjectFolder, key: str, commits: list[Commit]) -> int:
    """The number of the last commit that has a DNA, or of the first one if none has."""
    store = project.lake.fingerprints
    there = (commit.seq for commit in reversed(commits) if store.dna_record(dna_id(key, commit.version_id)))
    return next(there, commits[0].seq)


def _divided(project: ProjectFolder, kept: Commits, old: Commits) -> tuple[Ids, Ids]:
    """What kept versions are made of, and what the others are; much may be in both.

    A DNA of no version is that of a slice (or sample). It goes when it was used last before the first kept version,
    unless a kept version has it and its images are no longer there to make it again.
    """
    all_kept, all_old = ([one for commits in some.values() for one in commits] for some in (kept, old))
    keys = project.lake.fingerprints.key_ids()
    versions, old_versions = ({commit.version_id for commit in some} for some in (all_kept, all_old))
    shards, old_shards = (_shards(some) for some in (all_kept, all_old))
    # By their ids: those whose record is damaged are made again from their tables.
    dnas, old_dnas = ({dna_id(key, one) for key in keys for one in some} for some in (versions, old_versions))
    slices = _Slices(project, {name: kept[name] for name, some in old.items() if some})
    for record in project.lake.fingerprints.dna_records():
        if record.version_id in versions:
            goes = False
        elif record.version_id in old_versions:
            goes = True
        else:
            goes = slices.can_go(record)
        (old_dnas if goes else dnas).add(record.dna_id)
        of = old_shards if goes else shards
        for shard in record.shards:
            of.setdefault(shard, ())
    manifests, old_manifests = (frozenset(commit.manifest_id for commit in some) for some in (all_kept, all_old))
    return Ids(frozenset(dnas), shards, manifests), Ids(frozenset(old_dnas), old_shards, old_manifests)


def _shards(commits: list[Commit]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for shard in (shard for commit in commits for shard in commit.shards):
        # One dataset may have joined what another one cut at once.
        found[shard.shard_id] = tuple(dict.fromkeys([*found.get(shard.shard_id, ()), *shard.parents]))
    return found


class _Slices:
    """Which DNAs of slices can go; `kept` has the kept commits of datasets of which some are given up."""

    def __init__(self, project: ProjectFolder, kept: Commits) -> None:
        self._project = project
        self._kept = kept
        self._digests: dict[str, frozenset[str]] = {}

    def can_go(self, record: DnaRecord) -> bool:
        """See `_divided`; whatever cannot be told stays."""
        commits = self._kept.get(_dataset(record, self._kept))
        if not commits:
            return False
        used = last_use(self._project.lake.layout.dna_record(record.dna_id))
        if used is None or used >= datetime.fromisoformat(commits[0].created_at).timestamp():
            return False
        try:
            digests = self._of_slice(record)
            watched = any(one.name == commits[0].dataset for one in self._project.config().datasets)
            if watched and digests <= self._of_version(commits[-1]):
                return True
            return not any(digests <= self._of_version(commit) for commit in commits)
        except LakeError:
            return False

    def _of_slice(self, record: DnaRecord) -> frozenset[str]:
        store, found = self._project.lake.fingerprints, set[str]()
        for shard in record.shards:
            found |= store.partial_digests(partial_place(self._project, record, shard), shard)
        return frozenset(found)

    def _of_version(self, commit: Commit) -> frozenset[str]:
        if commit.manifest_id not in self._digests:
            items, _ = self._project.lake.versions.members(commit)
            self._digests[commit.manifest_id] = frozenset(item.digest for item in items)
        return self._digests[commit.manifest_id]


def _dataset(record: DnaRecord, names: Iterable[str]) -> str:
    """The dataset that a slice or sample is of, among some; empty for others."""
    label = record.made_for.removeprefix(SAMPLE_OF)
    found = (name for name in names if label.startswith(name) and label[len(name) :][:1] in ("", "@", "[", " "))
    return next(found, "")
