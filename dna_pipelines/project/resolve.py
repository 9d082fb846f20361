"""The commit that a reference names, and the record of an extractor that a project has used."""

from __future__ import annotations

import re

from dna_pipelines.config import DatasetConfig
from dna_pipelines.config.values import is_name
from dna_pipelines.credentials import options_without_credentials, without_credentials
from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import LakeError, NothingToCompare, UnknownName
from dna_pipelines.identity import stable_hash
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.storage import Commit
from dna_pipelines.storage.records import ExtractorRecord

_FEWEST_DIGITS = 4
"""The number of characters of a version's id that are enough to name it."""


def location_id(dataset: DatasetConfig) -> str:
    """A hash of the settings that decide which bytes a file name stands for."""
    chosen = dataset.model_dump(mode="json", include={"uri", "kind", "image_column", "storage_options"})
    # A location that is signed again, or of which the secrets change, is the same.
    options = options_without_credentials(chosen["storage_options"])
    return stable_hash({**chosen, "uri": without_credentials(dataset.uri), "storage_options": options})


def is_of_this_location(dataset: DatasetConfig, commit: Commit) -> bool:
    """Whether a commit was made of the location that the datasets file gives now, as far as the commit says."""
    return not commit.place or commit.place == location_id(dataset)


def find_commit(project: ProjectFolder, reference: str | Reference) -> Commit:
    """The commit that a reference names; for a slice, the one it is taken from.

    Raises:
        UnknownName: when there is no such dataset or version, or when the beginning of an id is ambiguous.
        NothingToCompare: when the dataset has not been scanned yet, or not since its location was changed in the
            datasets file.
    """
    named = Reference.parse(reference) if isinstance(reference, str) else reference
    name, version = named.dataset, named.version
    versions = project.lake.versions
    # A path would lead to files that are no commits.
    latest = versions.latest(name) if is_name(name) else None
    if latest is None:
        if any(dataset.name == name for dataset in project.config().datasets):
            raise NothingToCompare(
                f"{name} has not been scanned yet; call project.update() or run `dna run`",
                code="compare.not-scanned",
                dataset=name,
            )
        known = sorted({*versions.datasets(), *(dataset.name for dataset in project.config().datasets)})
        raise UnknownName(
            f"there is no dataset '{name}'; the datasets are: {', '.join(known) or 'none'}",
            code="name.dataset",
            name=name,
            known=known,
        )
    if not version:
        _require_this_location(project, latest)
        return latest
    history = versions.history(name)
    distinct = distinct_versions(history)
    matches: list[Commit] = []
    if re.fullmatch(r"-?[0-9]{1,11}", version):
        number = int(version)
        if number < 0 and -number < len(distinct):
            return distinct[number - 1]
        matches = [commit for commit in history if commit.seq == number]
    if not matches and len(version) >= _FEWEST_DIGITS:
        matches = [commit for commit in distinct if commit.version_id.startswith(version)]
        if len({commit.version_id for commit in matches}) > 1:
            raise UnknownName(
                f"'{version}' is the beginning of several versions of {name}: {_listed(matches)}; give more characters",
                code="name.ambiguous-version",
                dataset=name,
                version=version,
                matches=[commit.version_id for commit in matches],
            )
    if not matches:
        raise UnknownName(
            f"{name} has no version '{version}'; its versions are: {_listed(distinct)} "
            f"(give a number, or {_FEWEST_DIGITS} or more characters of the id)",
            code="name.version",
            dataset=name,
            version=version,
            known=[commit.seq for commit in distinct],
        )
    return matches[-1]


def _require_this_location(project: ProjectFolder, latest: Commit) -> None:
    config = next((each for each in project.config().datasets if each.name == latest.dataset), None)
    if config and not is_of_this_location(config, latest):
        raise NothingToCompare(
            f"the location of {config.name} in the datasets file changed since the last update; call project.update() "
            f"or run `dna run`, or name the version of before: {config.name}@{latest.seq}",
            code="compare.moved",
            dataset=config.name,
            seq=latest.seq,
        )


def _listed(commits: list[Commit]) -> str:
    return ", ".join(f"{commit.seq} ({commit.version_id[:8]})" for commit in commits)


def distinct_versions(history: list[Commit]) -> list[Commit]:
    """The last commit of each version: a rename, a touched file or other metadata do not make another version.

    The last commit has the names and the metadata that the images had before the version changed.
    """
    return [
        commit
        for commit, after in zip(history, [*history[1:], None], strict=True)
        if after is None or commit.version_id != after.version_id
    ]


def used_extractor(project: ProjectFolder, name: str) -> ExtractorRecord:
    """The record of an extractor that the project has used, with its keys.

    Raises:
        UnknownName: when the datasets file has no such extractor.
        NothingToCompare: when the extractor has not been used yet.
        LakeError: when its record is damaged.
    """
    project.extractor_config(name)
    record = project.lake.fingerprints.extractor(name)
    if record is None:
        if project.lake.layout.extractor(name).exists():
            raise LakeError(
                f"the record of {name} in {project.lake.layout.root} is damaged; `dna run` writes it again",
                code="lake.extractor-record",
                extractor=name,
            )
        raise NothingToCompare(
            f"{name} has not been used in this project yet; call project.update() or run `dna run`",
            code="compare.extractor-unused",
            extractor=name,
        )
    return record


def used_ranges(project: ProjectFolder, name: str) -> ActivationRanges:
    """The activation ranges of an extractor that the project has used.

    Raises:
        UnknownName: when the datasets file has no such extractor.
        NothingToCompare: when the extractor has not been used, or has no activation ranges yet.
        LakeError: when its record is damaged.
    """
    record = used_extractor(project, name)
    ranges = project.lake.fingerprints.ranges(name, record.fingerprint)
    if ranges is None:
        raise NothingToCompare(
            f"{name} has no activation ranges yet; call project.update() or run `dna run`",
            code="ranges.missing",
            extractor=name,
        )
    return ranges
