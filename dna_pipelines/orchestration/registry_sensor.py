"""Keeps Dagster's partitions equal to the datasets file."""

import dagster as dg

from dna_pipelines.errors import DnaError
from dna_pipelines.orchestration.orphaned_runs import reap
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.orchestration.project_resource import InjectedProject


@dg.sensor(
    name="watched_datasets",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds and removes partitions to match data/datasets.yaml, marks orphaned runs as failed, and reports a "
    "lake that cannot be written.",
)
def registry_sensor(context: dg.SensorEvaluationContext, project_resource: InjectedProject) -> dg.SensorResult:
    """Request the partitions that are missing, and the removal of those without a dataset."""
    if reaped := reap(context.instance):
        context.log.warning("marked orphaned runs as failed, because their process has ended: %s", ", ".join(reaped))
    try:
        watched = [dataset.name for dataset in project_resource.project.config().datasets]
        project_resource.project.lake.try_writing()
    except DnaError as error:
        return dg.SensorResult(skip_reason=str(error))
    known = context.instance.get_dynamic_partitions(DATASETS.name or "")
    added = [name for name in watched if name not in known]
    removed = [name for name in known if name not in watched]
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = [
        *([DATASETS.build_add_request(added)] if added else []),
        *([DATASETS.build_delete_request(removed)] if removed else []),
    ]
    if not requests:
        return dg.SensorResult(skip_reason=f"The partitions match the {len(watched)} watched datasets.")
    return dg.SensorResult(dynamic_partitions_requests=requests)
