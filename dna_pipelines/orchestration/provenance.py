"""What a dataset of a batch was made from, as Dagster notes it by itself when a run has one partition.

Without these tags Dagster's page calls every dataset of a batch out of date ("has a new dependency").
"""

import dagster as dg

from dna_pipelines.orchestration.dagster_private import input_version_tags
from dna_pipelines.orchestration.keys import MANIFEST, RAW


def input_tags(context: dg.AssetExecutionContext, dataset: str) -> dict[str, str]:
    """Of each asset that the step reads, the last event of the dataset (of the whole, where it has no partitions)."""
    tags: dict[str, str] = {}
    for key in sorted(context.assets_def.asset_deps[context.asset_key]):
        tags |= input_version_tags(context.instance, key, dataset if key in (RAW, MANIFEST) else None)
    return tags
