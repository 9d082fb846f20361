"""Verdicts on distances in the lake: one file for each pair of DNAs, selection and number of re-deals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dna_pipelines.distributions import Layers
from dna_pipelines.identity import stable_hash
from dna_pipelines.storage.files import write_new
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.tables import read_parquet, to_parquet

if TYPE_CHECKING:  # the kernels of comparison take half a second to import
    from dna_pipelines.comparison import Significance

_LAYER = pa.struct([
    ("layer", pa.string()), ("n_neurons", pa.int64()), ("emd_bins", pa.float64()),
    ("noise_floor_bins", pa.float64()), ("p", pa.float64()),
])  # fmt: skip
_NEURONS = pa.struct([("layer", pa.string()), ("p", pa.list_(pa.float64()))])


@dataclass(frozen=True)
class Question:
    """What a verdict is about; everything that decides it is in here.

    Attributes:
        dna_a, dna_b: ids, the smaller first. One may be of images that have no DNA of their own, such as those
            that were added to a version.
        label_a, label_b: what people called them.
        selection_id: of the neurons and their weights, see `weights_id`.
        method: see `comparison.significance.METHOD`.
        unit: what is taken for independent.
        doubts: why what is taken for independent may not be.
        n_tests: tests that its p-values are corrected for: two where both sides have images that the other lacks.
    """

    dna_a: str
    dna_b: str
    label_a: str
    label_b: str
    n_images_a: int
    n_images_b: int
    selection_id: str
    method: int
    n_resamples: int
    unit: str
    doubts: tuple[str, ...] = ()
    n_tests: int = 1

    @property
    def key(self) -> list[Any]:
        """What decides the verdict."""
        return [self.dna_a, self.dna_b, self.selection_id, self.method, self.n_resamples, self.n_tests]


class Verdicts:
    """Written once: the same question has the same answer, whoever asks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, question: Question, layers: Layers) -> Significance | None:
        """The verdict on a pair, if there is one.

        Args:
            question: what is asked.
            layers: of its DNAs.
        """
        from dna_pipelines.comparison import LayerSignificance, Significance

        path = self._path(question)
        if not path.exists():
            return None
        table, _ = read_parquet(path)
        row = table.to_pylist()[0]
        everywhere = np.full(layers.n_neurons, np.nan)
        for part in row["neurons"]:
            everywhere[layers.slice_of(part["layer"])] = [np.nan if p is None else p for p in part["p"]]
        plain = {field.name: row[field.name] for field in fields(Significance) if field.name in row}
        named = tuple(LayerSignificance(**layer) for layer in row["layers"])
        return Significance(**{**plain, "layers": named, "neuron_p": everywhere})

    def put(self, question: Question, verdict: Significance, layers: Layers) -> None:
        """Keep a verdict."""
        plain = {
            field.name: [getattr(verdict, field.name)]
            for field in fields(verdict)
            if field.name not in ("layers", "neuron_p")
        }
        neurons = [
            {"layer": name, "p": [None if np.isnan(p) else float(p) for p in verdict.neuron_p[part]]}
            for name, part in layers.slices.items()
        ]
        table = pa.table(
            {
                **{field.name: [getattr(question, field.name)] for field in fields(question)},
                "doubts": pa.array([list(question.doubts)], pa.list_(pa.string())),
                **plain,
                "more_than_chance": [verdict.more_than_chance],
                "n_tested": [verdict.n_tested],
                "n_changed": [verdict.n_changed],
                "layers": pa.array([[vars(layer) for layer in verdict.layers]], pa.list_(_LAYER)),
                "neurons": pa.array([neurons], pa.list_(_NEURONS)),
            }
        )
        write_new(self._path(question), to_parquet(table, {}))

    def _path(self, question: Question) -> Path:
        return self._layout.verdict(question.dna_a, question.dna_b, stable_hash(question.key))
