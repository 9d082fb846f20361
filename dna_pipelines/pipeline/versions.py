"""Names of versions, and which DNAs and pairs are current. Nothing is computed here."""

from __future__ import annotations

import re
from typing import NamedTuple

from dna_pipelines.config import DatasetConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError, NothingToCompare, UnknownName
from dna_pipelines.identity import stable_hash
from dna_pipelines.pipeline.checks import blocked, check_dna, check_manifest
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.reference import Reference
from dna_pipelines.storage import Commit
from dna_pipelines.storage.distances import Pair
from dna_pipelines.storage.records import ExtractorRecord

_FEWEST_DIGITS = 4
"""Of a version's id, for it to be named by its beginning."""


def current_dnas(project: Project, extractor: str) -> dict[str, str]:
    """The id of the current DNA of each watched dataset that has one, and whose checks do not withhold it."""
    record = used_extractor(project, extractor)
    found = {}
    for dataset in project.config().datasets:
        commit = _latest(project, dataset.name)
        if commit and commit.n_images:
            identity = dna_id(record.comparability_key, commit.version_id)
            dna = project.lake.fingerprints.dna_record(identity)
            if dna and not withheld(project, dataset, commit, extractor):
                found[dataset.name] = identity
    return found


def _latest(project: Project, dataset: str) -> Commit | None:
    """The last commit of a dataset; None also where it is damaged, which holds back no other dataset: a run says so."""
    try:
        return project.lake.versions.latest(dataset)
    except LakeError:
        return None


def withheld(project: Project, dataset: DatasetConfig, commit: Commit, extractor: str) -> str | None:
    """Why a commit's DNA is not made, or is not used by what comes after; None if nothing withholds it."""
    if reason := blocked(check_manifest(dataset, commit)):
        return reason
    record = project.lake.fingerprints.extractor(extractor)
    if record is None or commit.n_images == 0:
        return None
    dna = project.lake.fingerprints.dna_record(dna_id(record.comparability_key, commit.version_id))
    reason = blocked(check_dna(dataset, dna, record.comparability_key))
    return f"{extractor}: {reason}" if reason else None


def publish(project: Project) -> None:
    """Let SQL, here and in the duckdb shell, see the datasets file and the lake as they are now."""
    config, lake = project.config(), project.lake
    lake.prepare()
    lake.versions.register([one.model_dump(mode="json", include={"name", "uri", "tags"}) for one in config.datasets])
    for dataset in config.datasets:
        # Whoever committed may have been killed before this, or overtaken.
        if latest := _latest(project, dataset.name):
            lake.versions.point_at(latest)
    rows = []
    for extractor in config.extractors:
        if record := lake.fingerprints.extractor(extractor.name):
            facts = {"extractor": extractor.name, "comparability_key": record.comparability_key}
            found = current_dnas(project, extractor.name)
            rows += [{**facts, "dataset": dataset, "dna_id": identity} for dataset, identity in found.items()]
    lake.fingerprints.register(rows)
    project.catalog.export()


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


def matrix_id(pairs: WantedPairs) -> str:
    """The id of what the matrix shows: the datasets that have a DNA, in order, those DNAs, and the pairs it lacks."""
    return stable_hash([list(pairs.current.items()), pairs.lacking])


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
    history = versions.history(name)
    distinct = distinct_versions(history)
    found: list[Commit] = []
    if re.fullmatch(r"-?[0-9]{1,11}", version):
        number = int(version)
        if number < 0 and -number < len(distinct):
            return distinct[number - 1]
        found = [commit for commit in history if commit.seq == number]
    if not found and len(version) >= _FEWEST_DIGITS:
        found = [commit for commit in distinct if commit.version_id.startswith(version)]
        if len({commit.version_id for commit in found}) > 1:
            raise UnknownName(f"'{version}' may be several versions of {name}: {_listed(found)}; give more of the id")
    if not found:
        raise UnknownName(
            f"{name} has no version '{version}'; it has: {_listed(distinct)} "
            f"(a number, or {_FEWEST_DIGITS} or more characters of the id)"
        )
    return found[-1]


def _listed(commits: list[Commit]) -> str:
    return ", ".join(f"{commit.seq} ({commit.version_id[:8]})" for commit in commits)


def distinct_versions(history: list[Commit]) -> list[Commit]:
    """The last commit of each version: a rename, a touched file or other metadata do not make another version.

    The last one says what the images were called, and what was said of them, before the version changed.
    """
    return [
        commit
        for commit, after in zip(history, [*history[1:], None], strict=True)
        if after is None or commit.version_id != after.version_id
    ]


def used_extractor(project: Project, name: str) -> ExtractorRecord:
    """The keys of an extractor that has been used here."""
    project.extractor_config(name)
    record = project.lake.fingerprints.extractor(name)
    if record is None:
        if project.lake.layout.extractor(name).exists():
            raise LakeError(
                f"what is noted of {name} in {project.lake.layout.root} is damaged; `dna run` makes it again"
            )
        raise NothingToCompare(f"{name} was never used here; run `dna run`")
    return record


def _previous_dna(project: Project, dataset: str, key: str) -> str | None:
    latest = project.lake.versions.latest(dataset)
    seq = latest.seq - 1 if latest else 0
    while latest and seq > 0:
        try:
            commit = project.lake.versions.commit(dataset, seq)
        except LakeError:
            # Whoever asks for it by name is told, and so is the doctor.
            return None
        if commit.version_id != latest.version_id:
            identity = dna_id(key, commit.version_id)
            return identity if project.lake.fingerprints.dna_record(identity) else None
        seq -= 1
    return None
