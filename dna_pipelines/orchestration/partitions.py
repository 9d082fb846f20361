"""Datasets are dynamic partitions, kept equal to the datasets file."""

import dagster as dg
from sqlalchemy.exc import IntegrityError

from dna_pipelines.project.project import ProjectFolder

DATASETS = dg.DynamicPartitionsDefinition(name="dataset")
"""One partition per watched dataset."""


def sync_partitions(instance: dg.DagsterInstance, project: ProjectFolder) -> tuple[list[str], list[str]]:
    """Add and remove partitions until they are the watched datasets; returns those that were added and removed."""
    try:
        return _sync(instance, project)
    except IntegrityError:
        # Another process added some of them meanwhile.
        return _sync(instance, project)


def _sync(instance: dg.DagsterInstance, project: ProjectFolder) -> tuple[list[str], list[str]]:
    watched = [dataset.name for dataset in project.config().datasets]
    known = set(instance.get_dynamic_partitions(DATASETS.name or ""))
    added = [name for name in watched if name not in known]
    removed = sorted(known.difference(watched))
    if added:
        instance.add_dynamic_partitions(DATASETS.name or "", added)
    for name in removed:
        instance.delete_dynamic_partition(DATASETS.name or "", name)
    return added, removed
