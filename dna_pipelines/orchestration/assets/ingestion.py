"""From a dataset's place to its manifest."""

import dagster as dg

from dna_pipelines.orchestration.attempts import attempt
from dna_pipelines.orchestration.checks import MANIFEST_CHECKS, check_results, check_specs
from dna_pipelines.orchestration.describe import describe_manifest
from dna_pipelines.orchestration.keys import MANIFEST, RAW
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.orchestration.workbench import Workbench
from dna_pipelines.pipeline.checks import check_manifest
from dna_pipelines.pipeline.ingest import refresh
from dna_pipelines.pipeline.watch import manifest_input

raw = dg.AssetSpec(
    RAW,
    partitions_def=DATASETS,
    group_name="ingestion",
    kinds={"file"},
    description="The images where they are. An event is written whenever a listing shows that they changed; its "
    "data version is the hash of all names, sizes and times.",
)


def manifest_asset(condition: dg.AutomationCondition) -> dg.AssetsDefinition:
    """The manifest of each dataset."""

    @dg.asset(
        key=MANIFEST,
        deps=[RAW],
        partitions_def=DATASETS,
        code_version="1",
        group_name="ingestion",
        kinds={"parquet"},
        check_specs=check_specs(MANIFEST, MANIFEST_CHECKS),
        automation_condition=condition,
    )
    def manifest(context: dg.AssetExecutionContext, workbench: dg.ResourceParam[Workbench]) -> dg.MaterializeResult:
        """One row per image: digest, group, size, format, shard, block, and why an unreadable one is left out.

        Only files whose size or time changed are read. The data version is the multiset of image digests,
        so renaming or touching files changes nothing downstream.
        """
        project, name = workbench.project, context.partition_key
        with attempt(context, project, manifest_input(project.lake.versions.sighting(name)), name):
            dataset = project.file.dataset(name)
            done = refresh(project, dataset, workbench.shown(context))
        return dg.MaterializeResult(
            metadata=describe_manifest(dataset, done),
            data_version=dg.DataVersion(done.commit.version_id),
            check_results=check_results(MANIFEST, check_manifest(dataset, done.commit)),
        )

    return manifest
