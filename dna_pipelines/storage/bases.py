"""The basis of a view beside its ranges: one row of weights and an offset for each of its neurons."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dna_pipelines.distributions import Layers
from dna_pipelines.dna import Basis
from dna_pipelines.storage.tables import vector


def basis_columns(basis: Basis | None) -> dict[str, pa.Array]:
    """The columns of a basis; none where there is no basis."""
    if basis is None:
        return {}
    # Layers differ in how many neurons they have, and so do their rows.
    rows = [row for weights in basis.weights for row in weights]
    return {"weights": pa.array(rows, pa.list_(pa.float32())), "offset": pa.array(np.concatenate(basis.offsets))}


def read_basis(table: pa.Table, layers: Layers) -> Basis | None:
    """The basis in a table of ranges, if there is one."""
    if "weights" not in table.column_names:
        return None
    rows, offsets = table["weights"].combine_chunks(), vector(table, "offset")
    parts = layers.slices.values()
    flat = [rows.slice(part.start, part.stop - part.start).flatten().to_numpy() for part in parts]
    weights = [numbers.reshape(part.stop - part.start, -1) for numbers, part in zip(flat, parts, strict=True)]
    return Basis(tuple(weights), tuple(offsets[part] for part in parts))
