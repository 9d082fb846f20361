"""Which DNAs are current, and what SQL sees of them. Nothing is computed here."""

from __future__ import annotations

from dna_pipelines.config import DatasetConfig
from dna_pipelines.dna import dna_id
from dna_pipelines.errors import LakeError
from dna_pipelines.project.checks import blocked, check_dna, check_manifest
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.storage import Commit


def current_dnas(project: ProjectFolder, extractor: str) -> dict[str, str]:
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


def _latest(project: ProjectFolder, dataset: str) -> Commit | None:
    """The last commit of a dataset; None also where it is damaged, which holds back no other dataset: a run says so."""
    try:
        return project.lake.versions.latest(dataset)
    except LakeError:
        return None


def withheld(project: ProjectFolder, dataset: DatasetConfig, commit: Commit, extractor: str) -> str | None:
    """Why a commit's DNA is not made, or is not used by what comes after; None if nothing withholds it."""
    if reason := blocked(check_manifest(dataset, commit)):
        return reason
    record = project.lake.fingerprints.extractor(extractor)
    if record is None or commit.n_images == 0:
        return None
    dna = project.lake.fingerprints.dna_record(dna_id(record.comparability_key, commit.version_id))
    reason = blocked(check_dna(dataset, dna, record.comparability_key))
    return f"{extractor}: {reason}" if reason else None


def publish(project: ProjectFolder) -> None:
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
