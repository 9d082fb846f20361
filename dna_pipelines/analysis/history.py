"""What happened lately, over all datasets: how they grew, and what their last changes moved."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from dna_pipelines.distributions import Layers
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.project import ProjectFolder


def growth(
    project: ProjectFolder, most_datasets: int = 10, most_commits: int = 100
) -> dict[str, list[tuple[datetime, int]]]:
    """The datasets that changed last, with the moments of their commits and how many images they had then."""
    latest = (project.lake.versions.latest(dataset.name) for dataset in project.config().datasets)
    newest = sorted((commit for commit in latest if commit), key=lambda commit: commit.created_at, reverse=True)
    return {
        commit.dataset: [
            (datetime.fromisoformat(one.created_at).replace(tzinfo=None), one.n_images)
            for one in project.lake.versions.history(commit.dataset, last=most_commits)
        ]
        for commit in newest[:most_datasets]
    }


def last_changes(project: ProjectFolder, extractor: str) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The layers of an extractor, and by dataset and layer how far (EMD in bins) its last change moved it.

    The catalog has to be published.
    """
    dna = next(iter(current_dnas(project, extractor).values()), None)
    record = project.lake.fingerprints.dna_record(dna) if dna else None
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in project.catalog.rows("FROM changes"):
        if row["extractor"] == extractor:
            found[row["dataset"]][row["layer"]] = row["emd_bins"]
    return list(Layers.from_key(record.layers).names) if record else [], dict(found)
