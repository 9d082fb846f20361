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
    """What the step of an asset is called: Dagster has no `-` and no `.` in names of steps.

    The datasets file refuses extractors whose steps would have one name.
    """
    return key.to_python_identifier()
