"""The keys of the assets."""

import dagster as dg

RAW = dg.AssetKey("raw")
MANIFEST = dg.AssetKey("manifest")


def key_of(extractor: str, name: str) -> dg.AssetKey:
    """An asset of one extractor: `ranges`, `dna`, `distances` or `matrix`."""
    return dg.AssetKey([extractor, name])
