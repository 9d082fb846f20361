"""The definitions that Dagster loads."""

import dagster as dg

from dna_pipelines.orchestration.assets.fingerprints import fingerprint_assets
from dna_pipelines.orchestration.assets.ingestion import manifest_asset, raw
from dna_pipelines.orchestration.automation import OutOfDate, Upkeep, automation_sensor
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.orchestration.registry_sensor import registry_sensor
from dna_pipelines.orchestration.retention import retention_sensor
from dna_pipelines.orchestration.scanning import scan_job, scan_sensor
from dna_pipelines.project.project import ProjectFolder


def build_assets(
    project: ProjectFolder, condition: dg.AutomationCondition | None = None
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Ingestion, and one set of assets for each extractor of the datasets file.

    Args:
        project: the project.
        condition: when Dagster materializes an asset by itself; by default when it is out of date.
    """
    condition = condition or OutOfDate(Upkeep(project))
    sets = [fingerprint_assets(extractor, condition) for extractor in project.config().extractors]
    return [raw, manifest_asset(condition), *(asset for assets in sets for asset in assets)]


def build_defs(project: ProjectFolder, condition: dg.AutomationCondition | None = None) -> dg.Definitions:
    """Everything of one project; `condition` as in `build_assets`."""
    return dg.Definitions(
        assets=build_assets(project, condition),
        jobs=[scan_job],
        sensors=[registry_sensor, scan_sensor, automation_sensor, retention_sensor],
        resources={"project_resource": ProjectResource(project)},
        # A separate process for each step would import torch every time.
        executor=dg.in_process_executor,
    )
