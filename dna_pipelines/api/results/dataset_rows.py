"""The datasets of a project, one row of facts each: as they are listed, as a scan finds them, and their state."""

from __future__ import annotations

from typing import Any

from dna_pipelines.api.results.datasets import DatasetsResult, ScanResult
from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import without_credentials
from dna_pipelines.errors import LakeError, SourceError, UserError
from dna_pipelines.project.problem import old_word
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import is_of_this_location
from dna_pipelines.update.ingest import draft
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.plan import blocked_problem, dna_state


def listed(folder: ProjectFolder) -> DatasetsResult:
    """See `Project.list`."""
    rows = []
    for dataset in folder.config().datasets:
        latest = folder.lake.versions.latest(dataset.name)
        latest = latest if latest and is_of_this_location(dataset, latest) else None
        rows.append(
            {
                "dataset": dataset.name,
                "uri": without_credentials(dataset.uri),
                "tags": dataset.tags,
                "group_by": dataset.group_by,
                "n_images": latest.n_images if latest else None,
                "version_id": latest.version_id if latest else None,
            }
        )
    return DatasetsResult(tuple(rows))


def scanned(folder: ProjectFolder, names: tuple[str, ...], progress: Progress) -> ScanResult:
    """See `Project.scan`."""
    datasets = [folder.file.dataset(name) for name in names] or list(folder.config().datasets)
    return ScanResult(tuple(_scan(folder, dataset, progress) for dataset in datasets))


def _scan(folder: ProjectFolder, dataset: DatasetConfig, progress: Progress) -> dict[str, Any]:
    try:
        manifest, diff, remark = draft(folder, list_location(folder, dataset), progress)
    except UserError as error:
        return {"dataset": dataset.name, "problem": str(error), "problem_code": error.code, "facts": error.facts}
    return {
        "dataset": dataset.name,
        "added": [row.name for row in diff.added],
        "removed": [row.name for row in diff.removed],
        "changed": [row.name for _, row in diff.changed],
        "renamed": [f"{old.name} -> {new.name}" for old, new in diff.renamed],
        "described": [row.name for _, row in diff.described],
        "regrouped": [row.name for _, row in diff.regrouped],
        "reread": [row.name for _, row in diff.reread],
        "n_images": len(manifest.readable),
        "n_ignored": manifest.n_ignored,
        "n_not_sampled": manifest.n_not_sampled,
        "quarantined": [{"path": row.name, "reason": row.reason, "detail": row.detail} for row in manifest.quarantined],
        "remark": remark,
    }


def state(folder: ProjectFolder) -> DatasetsResult:
    """See `Project.status`."""
    # What is wrong with the whole lake is raised once, before any dataset.
    _ = folder.lake
    return DatasetsResult(tuple(_state(folder, dataset) for dataset in folder.config().datasets))


def _state(folder: ProjectFolder, dataset: DatasetConfig) -> dict[str, Any]:
    extractors, problem, code = folder.config().extractors, None, None
    try:
        latest = folder.lake.versions.latest(dataset.name)
        states: dict[str, str] = {each.name: dna_state(folder, dataset, each) for each in extractors}
        folder.require_location(dataset)
    except SourceError as error:
        problem, code = str(error), error.code
    except LakeError as error:
        latest, states, problem, code = None, {each.name: "" for each in extractors}, str(error), error.code
    blocked = blocked_problem(folder, dataset.name) if "blocked" in states.values() else None
    reason = blocked.message if blocked else None
    return {
        "dataset": dataset.name,
        "n_images": latest.n_images if latest else None,
        "n_quarantined": latest.n_quarantined if latest else None,
        "n_not_sampled": latest.n_not_sampled if latest else None,
        "n_shards": len(latest.shards) if latest else None,
        "size_bytes": latest.n_bytes if latest else None,
        "version_id": latest.version_id if latest else None,
        "commit": latest.seq if latest else None,
        "last_change": latest.created_at if latest else None,
        "dna_states": states,
        "blocked": reason,
        # Aliases in the words of version 0.1.
        "dna": {name: old_word(state) for name, state in states.items()},
        "held_back": reason,
        "problem": problem,
        "problem_code": code,
    }
