"""Names of versions, and which DNAs and pairs are current. Nothing is computed here."""

from __future__ import annotations

import re

from dna_pipelines.errors import LakeError, NothingToCompare, UnknownName
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.storage import Commit
from dna_pipelines.storage.records import ExtractorRecord

_FEWEST_DIGITS = 4
"""Of a version's id, for it to be named by its beginning."""


def find_commit(project: ProjectFolder, reference: str | Reference) -> Commit:
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


def used_extractor(project: ProjectFolder, name: str) -> ExtractorRecord:
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
