"""The names of neurons as a table, with one row per neuron that has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from dna_pipelines.storage.tables import damage_named, read_parquet, to_parquet

SCHEMA = pa.schema(
    [
        ("comparability_key", pa.string()),
        ("layer", pa.string()),
        ("neuron", pa.int32()),
        ("name", pa.string()),
    ]
)


def names_file(comparability_key: str, names: Mapping[str, Sequence[str]]) -> bytes:
    """The bytes of a Parquet file of names by layer."""
    rows = [
        {"comparability_key": comparability_key, "layer": layer, "neuron": neuron, "name": name}
        for layer, some in names.items()
        for neuron, name in enumerate(some)
    ]
    return to_parquet(pa.Table.from_pylist(rows, SCHEMA), {})


def read_names(path: Path) -> dict[str, tuple[str, ...]]:
    """The names by layer, in the order of its neurons.

    Raises:
        LakeError: when the file is damaged.
    """
    names: dict[str, tuple[str, ...]] = {}
    with damage_named(path):
        table, _ = read_parquet(path, ["layer", "name"])
        for layer, name in zip(table["layer"].to_pylist(), table["name"].to_pylist(), strict=True):
            names[layer] = (*names.get(layer, ()), name)
    return names
