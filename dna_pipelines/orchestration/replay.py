"""Reports the contents of the lake to a new Dagster database, such as one that replaces a lost one."""

from collections.abc import Iterator

import dagster as dg

from dna_pipelines.orchestration.describe import Metadata
from dna_pipelines.orchestration.keys import DATA_VERSION, MANIFEST, key_of
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.scanning import raw_event
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit


def replay(instance: dg.DagsterInstance, project: ProjectFolder) -> int:
    """Report what is current in the lake as materializations; returns how many were new. Computes nothing."""
    sync_partitions(instance, project)
    n_reported = 0
    for event in _events(project):
        if _known_version(instance, event) != (event.tags or {})[DATA_VERSION]:
            instance.report_runless_asset_event(event)
            n_reported += 1
    return n_reported


def _events(project: ProjectFolder) -> Iterator[dg.AssetMaterialization]:
    versions, store, config = project.lake.versions, project.lake.fingerprints, project.config()
    for dataset in config.datasets:
        if commit := versions.latest(dataset.name):
            yield raw_event(dataset.name, commit.raw_version, commit.n_images + commit.n_quarantined)
            yield _event(MANIFEST, commit.version_id, _facts(commit), dataset.name)
    for extractor in config.extractors:
        record = store.extractor(extractor.name)
        if record is None:
            continue
        yield _event(key_of(extractor.name, "ranges"), record.ranges_id, {})
        for name, dna in current_dnas(project, extractor.name).items():
            yield _event(key_of(extractor.name, "dna"), dna, {"dna_id": dna}, name)


def _facts(commit: Commit) -> Metadata:
    counts = {"n_images": commit.n_images, "n_quarantined": commit.n_quarantined, "n_shards": len(commit.shards)}
    return {**counts, "version_id": commit.version_id, "commit": commit.seq, "committed_at": commit.created_at}


def _event(key: dg.AssetKey, version: str, facts: Metadata, partition: str | None = None) -> dg.AssetMaterialization:
    note = {"note": "reported from the lake"}
    return dg.AssetMaterialization(key, partition=partition, metadata={**facts, **note}, tags={DATA_VERSION: version})


def _known_version(instance: dg.DagsterInstance, event: dg.AssetMaterialization) -> str | None:
    partitions = [event.partition] if event.partition else None
    filter_ = dg.AssetRecordsFilter(asset_key=event.asset_key, asset_partitions=partitions)
    records = instance.fetch_materializations(filter_, limit=1).records
    known = records[0].asset_materialization if records else None
    return (known.tags or {}).get(DATA_VERSION) if known else None
