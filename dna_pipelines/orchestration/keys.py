"""The keys of the assets."""

import dagster as dg

RAW = dg.AssetKey("raw")
MANIFEST = dg.AssetKey("manifest")

DATA_VERSION, CODE_VERSION = "dagster/data_version", "dagster/code_version"
"""Tags of a materialization."""


def key_of(extractor: str, name: str) -> dg.AssetKey:
    """An asset of one extractor: `ranges`, `dna`, `distances` or `matrix`."""
    return dg.AssetKey([extractor, name])


def op_name(key: dg.AssetKey) -> str:
    """The name of an asset's step: Dagster allows no `-` and no `.` in it.

    The datasets file rejects extractors whose steps would have the same name.
    """
    return key.to_python_identifier()
