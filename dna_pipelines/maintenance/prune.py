"""Pruning: removes the DNAs, manifests and partials of old versions that no kept version needs.

Commits, layer distances and test results stay: the history of a dataset remains complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from dna_pipelines.dna import dna_id
from dna_pipelines.maintenance.prune_slices import Commits, SliceRule
from dna_pipelines.project.progress import counted
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import distinct_versions
from dna_pipelines.storage import Commit
from dna_pipelines.storage.files import remove
from dna_pipelines.storage.removal import Ids, Unneeded, unneeded

FEWEST = 2
"""The fewest versions to keep: the current one, and the one before, with which the matrix compares it."""


@dataclass(frozen=True)
class PruningPlan:
    """What pruning removes.

    Attributes:
        keep: how many versions of each dataset are kept.
        n_versions: by dataset, how many versions are pruned; without datasets of which none are.
        files: in an order in which they can be removed, so that an interruption leaves a sound lake.
        n_removed: by kind, how many DNAs, partials, … (each is several files).
        n_bytes: of all files.
        state: of the commits and DNA records that the plan was made from.
    """

    keep: int
    n_versions: dict[str, int]
    files: tuple[Unneeded, ...]
    n_removed: Counter[str]
    n_bytes: int
    state: frozenset[tuple[str, int]] = field(repr=False, compare=False)

    def __str__(self) -> str:
        """What is removed, in words."""
        parts = [counted(count, kind) for kind, count in self.n_removed.items()]
        return f"{', '.join(parts)} ({self.n_bytes / 1e6:,.1f} MB)" if parts else "nothing"


def plan_pruning(project: ProjectFolder, keep: int) -> PruningPlan:
    """Plan what pruning removes when the last versions of every dataset are kept. Removes nothing.

    A version that was not measured yet is never pruned, so a run at the same time keeps its results. A run that goes
    back to a pruned version at that moment may fail; a retry succeeds.

    Args:
        project: whose lake.
        keep: how many versions of a dataset, at least `FEWEST`; commits of one version count once.

    Raises:
        LakeError: when the commits of a dataset cannot be read.
    """
    state = _state(project)
    kept, old = _divide(project, keep)
    return _planned(project, keep, kept, old, state)


def carry_out(project: ProjectFolder, plan: PruningPlan) -> PruningPlan:
    """Remove the files of a plan; if the lake changed since it was made, a new plan is made first.

    Returns:
        What was removed.

    Raises:
        LakeError: when a file cannot be removed, or as `plan_pruning`.
    """
    if plan.state != _state(project):
        plan = plan_pruning(project, plan.keep)
    for file in plan.files:
        remove(file.path)
    return plan


def prune(project: ProjectFolder, keep: int) -> PruningPlan:
    """Keep the last versions of every dataset, and remove what only the others need: `plan_pruning`, carried out."""
    return carry_out(project, plan_pruning(project, keep))


def prune_as_configured(project: ProjectFolder) -> PruningPlan | None:
    """`prune` with `keep_versions` of the datasets file; None where it is not set, or no version has to be pruned.

    Raises:
        ConfigError: when that file cannot be read.
        LakeError: as `prune`.
    """
    keep = project.config().keep_versions
    if not keep:
        return None
    state = _state(project)
    kept, old = _divide(project, keep)
    # Manifests are removed last: where those of old versions are missing, so is all else. Most runs end here.
    if not _pruned_versions(project, kept, old):
        return None
    return carry_out(project, _planned(project, keep, kept, old, state))


def _state(project: ProjectFolder) -> frozenset[tuple[str, int]]:
    """What a plan depends on: the last commit of every dataset, and when each DNA was made or last used."""

    def facts() -> Iterator[tuple[str, int]]:
        for name in project.lake.versions.datasets():
            yield name, project.lake.versions.last_seq(name)
        for path in project.lake.layout.dna_record("x").parent.glob("[!.]*.json"):
            with suppress(FileNotFoundError):
                yield path.name, path.stat().st_mtime_ns

    return frozenset(facts())


def _divide(project: ProjectFolder, keep: int) -> tuple[Commits, Commits]:
    """The kept commits of every dataset, and the others."""
    versions = project.lake.versions
    # A folder of commits exists before the first commit.
    histories = {name: commits for name in versions.datasets() if (commits := versions.history(name))}
    first = {name: _first_kept(project, name, commits, keep).seq for name, commits in histories.items()}
    kept = {name: [commit for commit in commits if commit.seq >= first[name]] for name, commits in histories.items()}
    old = {name: [commit for commit in commits if commit.seq < first[name]] for name, commits in histories.items()}
    return kept, old


def _pruned_versions(project: ProjectFolder, kept: Commits, old: Commits) -> dict[str, int]:
    """By dataset, how many versions have a manifest that no kept commit has."""
    manifests = _manifests(kept)
    pruned = {
        (name, commit.version_id)
        for name, commits in old.items()
        for commit in commits
        if commit.manifest_id not in manifests and project.lake.versions.has_manifest(commit)
    }
    return dict(Counter(name for name, _ in sorted(pruned)))


def _planned(
    project: ProjectFolder, keep: int, kept: Commits, old: Commits, state: frozenset[tuple[str, int]]
) -> PruningPlan:
    files = tuple(unneeded(project.lake.layout, *_ids(project, kept, old)))
    n_bytes = 0
    for file in files:
        with suppress(FileNotFoundError):
            n_bytes += file.path.stat().st_size
    n_removed: Counter[str] = Counter(kind for kind, _ in dict.fromkeys((file.kind, file.of) for file in files))
    return PruningPlan(keep, _pruned_versions(project, kept, old), files, n_removed, n_bytes, state)


def _first_kept(project: ProjectFolder, dataset: str, commits: list[Commit], keep: int) -> Commit:
    """The first commit of the last `keep` versions, and not after the last one that was measured.

    So the version that a run is measuring stays, however many versions follow, and so does the last DNA while a check
    blocks newer versions.
    """
    distinct = distinct_versions(commits)
    before = distinct[-keep - 1].seq if len(distinct) > keep else 0
    if any(watched.name == dataset for watched in project.config().datasets):
        for extractor in project.config().extractors:
            if record := project.lake.fingerprints.extractor(extractor.name):
                before = min(before, _last_measured(project, record.comparability_key, commits) - 1)
    return next(commit for commit in commits if commit.seq > before)


def _last_measured(project: ProjectFolder, key: str, commits: list[Commit]) -> int:
    """The number of the last commit that has a DNA, or of the first one if none has."""
    store = project.lake.fingerprints
    measured = (commit.seq for commit in reversed(commits) if store.dna_record(dna_id(key, commit.version_id)))
    return next(measured, commits[0].seq)


def _ids(project: ProjectFolder, kept: Commits, old: Commits) -> tuple[Ids, Ids]:
    """The ids of kept versions, and those of the others; many are in both."""
    keys, records = project.lake.fingerprints.key_ids(), project.lake.fingerprints.dna_records()
    versions, old_versions = _versions(kept), _versions(old)
    shards, old_shards = _shards(kept), _shards(old)
    # By their ids, because a run repairs a damaged record from the tables.
    dnas, old_dnas = ({dna_id(key, version) for key in keys for version in some} for some in (versions, old_versions))
    of_no_version = [record for record in records if record.version_id not in versions | old_versions]
    removable = SliceRule(project, kept, old).removable(of_no_version)
    for record in records:
        is_kept = record.version_id in versions
        is_old = not is_kept and (record.version_id in old_versions or record.dna_id in removable)
        (old_dnas if is_old else dnas).add(record.dna_id)
        for shard in record.shards:
            (old_shards if is_old else shards).setdefault(shard, ())
    return Ids(frozenset(dnas), shards, _manifests(kept)), Ids(frozenset(old_dnas), old_shards, _manifests(old))


def _all(commits: Commits) -> Iterator[Commit]:
    return (commit for of_dataset in commits.values() for commit in of_dataset)


def _versions(commits: Commits) -> frozenset[str]:
    return frozenset(commit.version_id for commit in _all(commits))


def _manifests(commits: Commits) -> frozenset[str]:
    return frozenset(commit.manifest_id for commit in _all(commits))


def _shards(commits: Commits) -> dict[str, tuple[str, ...]]:
    """The shards of some commits, each with the shards it was joined from."""
    shards: dict[str, tuple[str, ...]] = {}
    for shard in (shard for commit in _all(commits) for shard in commit.shards):
        # A dataset may have joined shards to one that another dataset cut at once.
        shards[shard.shard_id] = tuple(dict.fromkeys([*shards.get(shard.shard_id, ()), *shard.parents]))
    return shards
