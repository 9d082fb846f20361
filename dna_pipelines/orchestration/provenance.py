"""What a dataset of a batch was made from, as Dagster notes it by itself when a run has one partition.

Without these tags Dagster's page would call every dataset of a batch out of date ("has a new dependency").
"""

import hashlib

import dagster as dg
from dagster._core.definitions.data_version import (
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from dna_pipelines.orchestration.keys import MANIFEST, RAW


def input_tags(context: dg.AssetExecutionContext, dataset: str) -> dict[str, str]:
    """Of each asset that the step reads, the last event of the dataset (of the whole, where it has no partitions)."""
    tags: dict[str, str] = {}
    for key in sorted(context.assets_def.asset_deps[context.asset_key]):
        partition = dataset if key in (RAW, MANIFEST) else None
        record = context.instance.get_latest_data_version_record(key, partition_key=partition)
        version = extract_data_version_from_entry(record.event_log_entry) if record else None
        if record and version:
            # Of partitions Dagster notes the hash of all versions that were read: here, of one.
            value = hashlib.sha256(version.value.encode()).hexdigest() if partition else version.value
            tags |= {get_input_data_version_tag(key): value, get_input_event_pointer_tag(key): str(record.storage_id)}
    return tags
