"""The inputs of a dataset in a batch, as Dagster records them by itself when a run has one partition.

Without these tags Dagster's page calls every dataset of a batch out of date ("has a new dependency").
"""

import dagster as dg

from dna_pipelines.orchestration.dagster_private import input_version_tags
from dna_pipelines.orchestration.keys import MANIFEST, RAW


def input_tags(context: dg.AssetExecutionContext, dataset: str) -> dict[str, str]:
    """The last event of each asset that the step reads: of the dataset, where the asset has partitions."""
    tags: dict[str, str] = {}
    for key in sorted(context.assets_def.asset_deps[context.asset_key]):
        tags |= input_version_tags(context.instance, key, dataset if key in (RAW, MANIFEST) else None)
    return tags
