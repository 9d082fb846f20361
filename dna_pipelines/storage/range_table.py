"""Activation ranges as a table: one row per neuron, for a view with the weights and offsets of its basis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from dna_pipelines.distributions import Binning, Layers
from dna_pipelines.dna import ActivationRanges, Basis
from dna_pipelines.storage.tables import damage_named, read_parquet, to_parquet, vector


def ranges_file(extractor: str, fingerprint: str, ranges: ActivationRanges) -> bytes:
    """The bytes of a Parquet file of ranges.

    Args:
        extractor: its name.
        fingerprint: of the extractor that they were measured with.
        ranges: of its neurons.
    """
    table = pa.table(
        {
            "extractor": [extractor] * ranges.layers.n_neurons,
            "layer": ranges.layers.labels(),
            "lo": ranges.binning.lo,
            "hi": ranges.binning.hi,
            "minimum": ranges.minimum,
            "maximum": ranges.maximum,
            "centre": ranges.centre,
            **_basis_columns(ranges.basis),
        }
    )
    facts = {
        "fingerprint": fingerprint,
        "n_bins": ranges.binning.n_bins,
        "layers": ranges.layers.key(),
        "n_images": ranges.n_images,
        "datasets": list(ranges.datasets),
        "origin": ranges.origin,
    }
    weights = ["weights.list.element"] if ranges.basis else []
    return to_parquet(table, facts, split=["lo", "hi", "centre", *weights])


def read_ranges(path: Path, fingerprint: str) -> ActivationRanges | None:
    """The ranges in a file; None where they were measured with an extractor of another fingerprint.

    Raises:
        LakeError: when the file is damaged.
    """
    with damage_named(path):
        table, facts = read_parquet(path)
        if facts["fingerprint"] != fingerprint:
            return None
        layers = Layers.from_key(facts["layers"])
        return ActivationRanges(
            layers,
            Binning(vector(table, "lo"), vector(table, "hi"), facts["n_bins"]),
            vector(table, "minimum"),
            vector(table, "maximum"),
            vector(table, "centre"),
            facts["n_images"],
            tuple(facts["datasets"]),
            facts.get("origin", ""),
            _read_basis(table, layers),
        )


def _basis_columns(basis: Basis | None) -> dict[str, pa.Array]:
    """The columns of a basis; none where there is no basis."""
    if basis is None:
        return {}
    # The length of a row is the number of neurons of its layer.
    rows = [row for weights in basis.weights for row in weights]
    return {"weights": pa.array(rows, pa.list_(pa.float32())), "offset": pa.array(np.concatenate(basis.offsets))}


def _read_basis(table: pa.Table, layers: Layers) -> Basis | None:
    """The basis in a table of ranges, if there is one."""
    if "weights" not in table.column_names:
        return None
    rows, offsets = table["weights"].combine_chunks(), vector(table, "offset")
    parts = layers.slices.values()
    flat = [rows.slice(part.start, part.stop - part.start).flatten().to_numpy() for part in parts]
    weights = [numbers.reshape(part.stop - part.start, -1) for numbers, part in zip(flat, parts, strict=True)]
    return Basis(tuple(weights), tuple(offsets[part] for part in parts))
