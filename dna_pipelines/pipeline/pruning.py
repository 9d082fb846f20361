"""Giving up old versions: their DNAs, manifests and those partials that no kept version needs.

Commits, distances of layers and verdicts stay: what happened is still told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from dna_pipelines.dna import dna_id
from dna_pipelines.pipeline.progress import counted
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.samples import SAMPLE_OF
from dna_pipelines.pipeline.versions import distinct_versions
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.storage.files import remove
from dna_pipelines.storage.removal import Ids, unneeded

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


def prune(project: Project, keep: int, *, dry_run: bool = False) -> Pruned:
    """Keep the last versions of every dataset, and remove what the others alone needed.

    A run beside it loses nothing that it made. One that goes back to a given-up version at that moment may
    fail, and succeeds when it is tried again.

    Args:
        project: whose lake.
        keep: how many versions of a dataset, at least `FEWEST`; commits of one version count once.
        dry_run: remove nothing.

    Raises:
        LakeError: when the commits of a dataset cannot be read, or a file not be removed.
    """
    histories = {name: project.lake.versions.history(name) for name in project.lake.versions.datasets()}
    first = {name: _first_kept(commits, keep) for name, commits in histories.items()}
    kept = [one for name, commits in histories.items() for one in commits if one.seq >= first[name].seq]
    old = [one for name, commits in histories.items() for one in commits if one.seq < first[name].seq]
    there = [commit for commit in old if project.lake.versions.has_manifest(commit)]
    kept_ids, given_up = _divided(project, kept, old, first)
    n_versions = {name: len(distinct_versions(some)) for name, some in _by_dataset(there).items()}
    pruned, seen = Pruned(n_versions), set[tuple[str, str]]()
    for one in unneeded(project.lake.layout, kept_ids, given_up):
        with suppress(FileNotFoundError):
            pruned.n_bytes += one.path.stat().st_size
        pruned.n_removed[one.kind] += (one.kind, one.of) not in seen
        seen.add((one.kind, one.of))
        if not dry_run:
            remove(one.path)
    return pruned


def prune_as_configured(project: Project) -> Pruned | None:
    """`prune` as the datasets file asks for it; None where it does not.

    Raises:
        ConfigError: when that file cannot be read.
        LakeError: as `prune`.
    """
    keep = project.config().keep_versions
    return prune(project, keep) if keep else None


def _first_kept(commits: list[Commit], keep: int) -> Commit:
    """The first commit of the last so many versions."""
    distinct = distinct_versions(commits)
    before = distinct[-keep - 1].seq if len(distinct) > keep else 0
    return next(commit for commit in commits if commit.seq > before)


def _divided(project: Project, kept: list[Commit], old: list[Commit], first: dict[str, Commit]) -> tuple[Ids, Ids]:
    """What kept versions are made of, and what the others are; much may be in both.

    A DNA of no version is that of a slice. It goes with the versions that were there when it was made.
    """
    keys = project.lake.fingerprints.key_ids()
    versions, old_versions = ({commit.version_id for commit in some} for some in (kept, old))
    shards, old_shards = (_shards(some) for some in (kept, old))
    # By their ids: those whose record is damaged are made again from their tables.
    dnas, old_dnas = ({dna_id(key, one) for key in keys for one in some} for some in (versions, old_versions))
    begun = {name: commit.created_at for name, commit in first.items() if commit.seq > 1}
    for record in project.lake.fingerprints.dna_records():
        if record.version_id in versions:
            goes = False
        elif record.version_id in old_versions:
            goes = True
        else:
            goes = record.created_at < begun.get(_dataset(record, begun), "")
        (old_dnas if goes else dnas).add(record.dna_id)
        of = old_shards if goes else shards
        for shard in record.shards:
            of.setdefault(shard, ())
    manifests, old_manifests = (frozenset(commit.manifest_id for commit in some) for some in (kept, old))
    return Ids(frozenset(dnas), shards, manifests), Ids(frozenset(old_dnas), old_shards, old_manifests)


def _shards(commits: list[Commit]) -> dict[str, tuple[str, ...]]:
    return {shard.shard_id: shard.parents for commit in commits for shard in commit.shards}


def _by_dataset(commits: list[Commit]) -> dict[str, list[Commit]]:
    found = defaultdict[str, list[Commit]](list)
    for commit in commits:
        found[commit.dataset].append(commit)
    return found


def _dataset(record: DnaRecord, names: Iterable[str]) -> str:
    """The dataset that a slice or sample is of, among some; empty for others."""
    label = record.made_for.removeprefix(SAMPLE_OF)
    found = (name for name in names if label.startswith(name) and label[len(name) :][:1] in ("", "@", "[", " "))
    return next(found, "")
