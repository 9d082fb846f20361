"""Results of significance tests in the lake: one file for each pair of DNAs, selection and number of permutations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dna_pipelines.comparison import LayerSignificance, Significance
from dna_pipelines.distributions import Layers
from dna_pipelines.identity import stable_hash
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.tables import put_table, read_parquet, to_parquet, unless_damaged

_LAYER = pa.struct([
    ("layer", pa.string()), ("n_neurons", pa.int64()), ("emd_bins", pa.float64()),
    ("noise_floor_bins", pa.float64()), ("p", pa.float64()),
])  # fmt: skip
_NEURONS = pa.struct([("layer", pa.string()), ("p", pa.list_(pa.float64()))])

COLUMNS: Mapping[str, str] = {
    "null_mean_bins": "noise_floor_bins",
    "null_sd_bins": "noise_spread_bins",
    "bias_corrected_bins": "debiased_bins",
    "ci_low_bins": "low_bins",
    "ci_high_bins": "high_bins",
    "tail_estimated": "extrapolated",
    "n_permutations": "n_resamples",
    "sampling_unit": "unit",
    "caveats": "doubts",
    "significant": "more_than_chance",
}
"""By name in the code, the column in the files where that differs. The format of the files does not change."""


@dataclass(frozen=True)
class SignificanceKey:
    """The inputs that a stored result depends on, and its description.

    Attributes:
        dna_a, dna_b: ids, the smaller first. One may be of images that have no DNA of their own, such as those
            that were added to a version.
        label_a, label_b: their names, for display.
        selection_id: of the neurons and their weights, see `weights_id`.
        method: see `comparison.significance.METHOD`.
        sampling_unit: image or group.
        caveats: assumptions that may be violated, in words.
        n_tests: number of tests that the p-values are corrected for: two where each side has images that are not in
            the other.
    """

    dna_a: str
    dna_b: str
    label_a: str
    label_b: str
    n_images_a: int
    n_images_b: int
    selection_id: str
    method: int
    n_permutations: int
    sampling_unit: str
    caveats: tuple[str, ...] = ()
    n_tests: int = 1

    @property
    def id(self) -> str:
        """A hash of everything that decides the result."""
        decisive = [self.dna_a, self.dna_b, self.selection_id, self.method, self.n_permutations, self.n_tests]
        return stable_hash(decisive)


class SignificanceStore:
    """Results are written once: the same key always has the same result."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, key: SignificanceKey, layers: Layers) -> Significance | None:
        """The stored result; None if there is none, or it is damaged, so that the test is computed again.

        Args:
            key: of the test.
            layers: of its DNAs.
        """
        path = self._path(key)
        if not path.exists():
            return None
        return unless_damaged(path, lambda: _significance(read_parquet(path)[0].to_pylist()[0], key, layers))

    def put(self, key: SignificanceKey, result: Significance, layers: Layers) -> None:
        """Store a result."""
        scalars = {
            COLUMNS.get(field.name, field.name): [getattr(result, field.name)]
            for field in fields(result)
            if field.name not in ("layers", "neuron_p")
        }
        neurons = [
            {"layer": name, "p": [None if np.isnan(p) else float(p) for p in result.neuron_p[part]]}
            for name, part in layers.slices.items()
        ]
        by_layer = [{COLUMNS.get(name, name): value for name, value in vars(layer).items()} for layer in result.layers]
        table = pa.table(
            {
                **{COLUMNS.get(field.name, field.name): [getattr(key, field.name)] for field in fields(key)},
                "doubts": pa.array([list(key.caveats)], pa.list_(pa.string())),
                **scalars,
                "more_than_chance": [result.significant],
                "n_tested": [result.n_tested],
                "n_changed": [result.n_changed],
                "layers": pa.array([by_layer], pa.list_(_LAYER)),
                "neurons": pa.array([neurons], pa.list_(_NEURONS)),
            }
        )
        put_table(self._path(key), to_parquet(table, {}))

    def _path(self, key: SignificanceKey) -> Path:
        return self._layout.significance(key.dna_a, key.dna_b, key.id)


def _significance(row: dict[str, Any], key: SignificanceKey, layers: Layers) -> Significance:
    """The result in the row of a file.

    Raises:
        ValueError: when it is that of another test.
    """
    if any(row[name] != getattr(key, name) for name in ("dna_a", "dna_b", "selection_id", "method", "n_tests")):
        raise ValueError("it is the result of another test")
    neuron_p = np.full(layers.n_neurons, np.nan)
    for part in row["neurons"]:
        neuron_p[layers.slice_of(part["layer"])] = [np.nan if p is None else p for p in part["p"]]
    names = (field.name for field in fields(Significance))
    values = {name: row[column] for name in names if (column := COLUMNS.get(name, name)) in row}
    named = tuple(
        LayerSignificance(layer["layer"], layer["n_neurons"], layer["emd_bins"], layer["noise_floor_bins"], layer["p"])
        for layer in row["layers"]
    )
    return Significance(**{**values, "layers": named, "neuron_p": neuron_p})
