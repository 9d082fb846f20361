"""Which DNAs are current, and what SQL sees of them. Nothing is computed here."""

from __future__ import annotations

import os

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.project.checks import blocked, check_dna, check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage import Commit


def current_dnas(project: ProjectFolder, extractor: str) -> dict[str, str]:
    """The id of the current DNA of each watched dataset that has one, and that no check blocks."""
    record = used_extractor(project, extractor)
    current = {}
    for dataset in project.config().datasets:
        commit = _latest(project, dataset.name)
        if commit and commit.n_images:
            identity = dna_id(record.comparability_key, commit.version_id)
            dna = project.lake.fingerprints.dna_record(identity)
            if dna and not blocked_commit(project, dataset, commit, extractor):
                current[dataset.name] = identity
    return current


def _latest(project: ProjectFolder, dataset: str) -> Commit | None:
    """The last commit of a dataset; None also where it is damaged: a run reports that, and goes on with the others."""
    try:
        return project.lake.versions.latest(dataset)
    except LakeError:
        return None


def blocked_commit(project: ProjectFolder, dataset: DatasetConfig, commit: Commit, extractor: str) -> str | None:
    """Why a check blocks the DNA of a commit, or its use; None if no check does."""
    if reason := blocked(check_manifest(dataset, commit)):
        return reason
    record = project.lake.fingerprints.extractor(extractor)
    if record is None or commit.n_images == 0:
        return None
    dna = project.lake.fingerprints.dna_record(dna_id(record.comparability_key, commit.version_id))
    reason = blocked(check_dna(dataset, dna, record.comparability_key))
    return f"{extractor}: {reason}" if reason else None


def publish(project: ProjectFolder) -> None:
    """Publish the datasets file and the lake as they are now to SQL, here and in the duckdb shell."""
    config, lake = project.config(), project.lake
    lake.prepare()
    lake.versions.register(
        [
            {**dataset.model_dump(mode="json", include={"name", "tags"}), "uri": without_credentials(dataset.uri)}
            for dataset in config.datasets
        ]
    )
    for dataset in config.datasets:
        # The process that committed may have been killed before this, or overtaken by another.
        if latest := _latest(project, dataset.name):
            lake.versions.point_at(latest)
    rows = []
    for extractor in config.extractors:
        if record := lake.fingerprints.extractor(extractor.name):
            facts = {"extractor": extractor.name, "comparability_key": record.comparability_key}
            current = current_dnas(project, extractor.name)
            rows += [{**facts, "dataset": dataset, "dna_id": identity} for dataset, identity in current.items()]
    lake.fingerprints.register(rows)
    try:
        project.catalog.export()
    except LakeError:
        # In a read-only copy at another path, the files for the duckdb shell keep the paths of the original.
        if os.access(lake.layout.root, os.W_OK):
            raise
