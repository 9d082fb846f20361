"""From a dataset's location to its manifest."""

import dagster as dg

from dna_pipelines.orchestration.checks import MANIFEST_CHECKS
from dna_pipelines.orchestration.describe import describe_manifest
from dna_pipelines.orchestration.keys import MANIFEST, RAW
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.orchestration.per_dataset import Made, asset_per_dataset
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.steps import step
from dna_pipelines.project.checks import check_manifest
from dna_pipelines.update.ingest import refresh
from dna_pipelines.update.report import IngestReport
from dna_pipelines.update.staleness import manifest_input

raw = dg.AssetSpec(
    RAW,
    partitions_def=DATASETS,
    group_name="ingestion",
    kinds={"file"},
    description="The images at their location. A listing that shows a change writes an event, whose data version is "
    "a hash of all names, sizes and modification times.",
)


def manifest_asset(condition: dg.AutomationCondition) -> dg.AssetsDefinition:
    """The manifest of each dataset."""

    def manifest(context: dg.AssetExecutionContext, project_resource: ProjectResource, name: str) -> Made:
        """One row per image: digest, group, size, format, shard, block, and why an unreadable one is quarantined.

        Only files whose size or time changed are read. The data version is the multiset of image digests,
        so renaming or touching files changes nothing downstream.
        """
        project = project_resource.project
        with step(context, project_resource, lambda: manifest_input(project.lake.versions.scan_result(name)), name):
            dataset = project.file.dataset(name)
            listed = project_resource.listings.pop(name, None)
            done = refresh(project, dataset, project_resource.shown(context), listed)
            project_resource.recorder.ingested[name] = IngestReport.of(done)
        return Made(describe_manifest(dataset, done), done.commit.version_id, check_manifest(dataset, done.commit))

    return asset_per_dataset(
        MANIFEST,
        manifest,
        MANIFEST_CHECKS,
        deps=[RAW],
        code_version="1",
        group_name="ingestion",
        kinds={"parquet"},
        automation_condition=condition,
    )
