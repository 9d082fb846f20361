"""Names of versions, and which DNAs and pairs are current. Nothing is computed here."""

from __future__ import annotations

import re
from typing import NamedTuple

from dna_pipelines.dna import dna_id
from dna_pipelines.errors import NothingToCompare, UnknownName
from dna_pipelines.pipeline.checks import blocked, check_dna
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.reference import Reference
from dna_pipelines.storage import Commit
from dna_pipelines.storage.records import ExtractorRecord

Pair = tuple[str, str]


def current_dnas(project: Project, extractor: str) -> dict[str, str]:
    """The id of the current DNA of each watched dataset that has one, and whose checks do not withhold it."""
    record = used_extractor(project, extractor)
    found = {}
    for dataset in project.config().datasets:
        commit = project.lake.versions.latest(dataset.name)
        if commit and commit.n_images:
            identity = dna_id(record.comparability_key, commit.version_id)
            dna = project.lake.fingerprints.dna_record(identity)
            if dna and not blocked(check_dna(dataset, dna, record.comparability_key)):
                found[dataset.name] = identity
    return found


class WantedPairs(NamedTuple):
    """The pairs of a matrix."""

    current: dict[str, str]
    """By dataset, see `current_dnas`."""
    changes: list[Pair]
    """Each dataset's DNA with that of what it was before its last change."""
    lacking: list[Pair]
    """Those that are not compared yet."""
    n_known: int


def wanted_pairs(project: Project, extractor: str) -> WantedPairs:
    """All pairs of current DNAs, and of each with what it was before; and which of them are not compared yet."""
    key, distances = used_extractor(project, extractor).comparability_key, project.lake.distances
    current = current_dnas(project, extractor)
    changes = set()
    for name, identity in current.items():
        if (before := _previous_dna(project, name, key)) and before != identity:
            changes.add((min(before, identity), max(before, identity)))
    ids, (complete, compared) = set(current.values()), distances.complete(key)
    # Only what is new is asked for: among 1,000 datasets there are half a million pairs, and a tick has no time.
    fresh = ids - complete
    asked = {(min(a, b), max(a, b)) for a in fresh for b in ids if a != b} | (changes - compared)
    lacking = asked - distances.known_pairs(key, {identity for pair in asked for identity in pair}) if asked else set()
    n_wanted = len(ids) * (len(ids) - 1) // 2 + sum(not ids.issuperset(pair) for pair in changes)
    return WantedPairs(current, sorted(changes), sorted(lacking), n_wanted - len(lacking))


def find_commit(project: Project, reference: str | Reference) -> Commit:
    """The commit that a reference names (that a slice is cut from)."""
    named = Reference.parse(reference) if isinstance(reference, str) else reference
    name, version = named.dataset, named.version
    versions = project.lake.versions
    latest = versions.latest(name)
    if latest is None:
        if any(dataset.name == name for dataset in project.config().datasets):
            raise NothingToCompare(f"{name} was never scanned; run `dna run`")
        known = sorted({*versions.datasets(), *(dataset.name for dataset in project.config().datasets)})
        raise UnknownName(f"there is no dataset '{name}'; there are: {', '.join(known) or 'none'}")
    if not version:
        return latest
    history = _distinct(versions.history(name))
    if re.fullmatch(r"-?[0-9]{1,11}", version):
        number = int(version)
        if number < 0 and -number < len(history):
            return history[number - 1]
        found = [commit for commit in history if commit.seq == number]
    else:
        found = []
    if not found:
        found = [commit for commit in history if commit.version_id.startswith(version)]
    if not found:
        there = ", ".join(f"{commit.seq} ({commit.version_id[:8]})" for commit in history)
        raise UnknownName(f"{name} has no version '{version}'; it has: {there}")
    return found[-1]


def _distinct(history: list[Commit]) -> list[Commit]:
    """Commits that changed the version; a rename or a touched file does not."""
    return [
        commit
        for place, commit in enumerate(history)
        if place == 0 or commit.version_id != history[place - 1].version_id
    ]


def used_extractor(project: Project, name: str) -> ExtractorRecord:
    """The keys of an extractor that has been used here."""
    project.extractor_config(name)
    record = project.lake.fingerprints.extractor(name)
    if record is None:
        raise NothingToCompare(f"{name} was never used here; run `dna run`")
    return record


def _previous_dna(project: Project, dataset: str, key: str) -> str | None:
    latest = project.lake.versions.latest(dataset)
    seq = latest.seq - 1 if latest else 0
    while latest and seq > 0:
        commit = project.lake.versions.commit(dataset, seq)
        if commit.version_id != latest.version_id:
            identity = dna_id(key, commit.version_id)
            return identity if project.lake.fingerprints.dna_record(identity) else None
        seq -= 1
    return None
