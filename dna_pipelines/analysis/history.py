"""Recent history over all datasets: how they grew, and how far their last changes moved them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from dna_pipelines.distributions import Layers
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.project import ProjectFolder


def growth(
    project: ProjectFolder, most_datasets: int = 10, most_commits: int = 100
) -> dict[str, list[tuple[datetime, int]]]:
    """The datasets that changed last: by name, the time of each commit and the number of images in it.

    Args:
        project: the project of the datasets.
        most_datasets: the number of datasets, the most recently changed first.
        most_commits: the number of commits of each, its last ones.
    """
    latest = (project.lake.versions.latest(dataset.name) for dataset in project.config().datasets)
    newest = sorted((commit for commit in latest if commit), key=lambda commit: commit.created_at, reverse=True)
    return {
        commit.dataset: [
            (datetime.fromisoformat(version.created_at).replace(tzinfo=None), version.n_images)
            for version in project.lake.versions.history(commit.dataset, last=most_commits)
        ]
        for commit in newest[:most_datasets]
    }


def last_changes(project: ProjectFolder, extractor: str) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The layers of an extractor, and by dataset and layer the EMD in bins between its last two versions.

    Publish the catalog first.
    """
    dna = next(iter(current_dnas(project, extractor).values()), None)
    record = project.lake.fingerprints.dna_record(dna) if dna else None
    moved: dict[str, dict[str, float]] = defaultdict(dict)
    for row in project.catalog.rows("FROM changes"):
        if row["extractor"] == extractor:
            moved[row["dataset"]][row["layer"]] = row["emd_bins"]
    return list(Layers.from_key(record.layers).names) if record else [], dict(moved)
