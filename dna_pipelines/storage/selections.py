"""Selections of neurons in the lake: named, and versioned by write-once records."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dna_pipelines.distributions import Layers
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import ID_LENGTH
from dna_pipelines.storage.files import write_new
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.record_cache import RecordCache
from dna_pipelines.storage.records import SelectionRecord
from dna_pipelines.storage.tables import damage_named, put_table, read_parquet, to_parquet
from dna_pipelines.storage.versions import now


class Selections:
    """Versions are numbered; the first writer of a number gets it. A version is never changed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._records = RecordCache()

    def names(self) -> list[str]:
        """Every selection with any version, also removed ones, in alphabetical order."""
        return sorted(path.name for path in self._layout.selections.glob("[!.]*") if path.is_dir())

    def history(self, name: str) -> list[SelectionRecord]:
        """All versions of a selection, oldest first; empty if there is no such selection."""
        try:
            files = os.listdir(self._layout.selections / name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        numbers = sorted(int(match[1]) for file in files if (match := re.fullmatch(r"([0-9]{8,})\.json", file)))
        records = (self._records.read(SelectionRecord, self._layout.selection(name, seq)) for seq in numbers)
        return [record for record in records if record]

    def put(
        self,
        name: str,
        layers: Layers,
        weights: NDArray[np.float64],
        *,
        extractor: str,
        comparability_key: str | None,
        how: Mapping[str, Any],
    ) -> SelectionRecord:
        """Store weights as the next version of a selection; the record is written last.

        Args:
            name: of the selection.
            layers: that the weights run over.
            weights: (n_neurons,).
            extractor, comparability_key, how: see `SelectionRecord`.
        """
        identity = weights_id(layers, weights)
        put_table(self._layout.selection_weights(identity), _table(identity, layers, weights))
        return self._commit(
            name,
            extractor=extractor,
            comparability_key=comparability_key,
            layers=layers.key(),
            weights_id=identity,
            n_chosen=int((weights > 0).sum()),
            how=dict(how),
        )

    def put_removed(self, name: str) -> SelectionRecord:
        """Remove a selection. Its versions stay, because distances were computed with them."""
        return self._commit(name, removed=True)

    def weights(self, record: SelectionRecord) -> NDArray[np.float64]:
        """The weights of a version, (n_neurons,).

        Raises:
            LakeError: when the file is missing, damaged or not the one that the record names.
        """
        path, layers = self._layout.selection_weights(record.weights_id), Layers.from_key(record.layers)
        try:
            with damage_named(path):
                table, _ = read_parquet(path)
                lists = dict(zip(table["layer"].to_pylist(), table["weights"].to_pylist(), strict=True))
                weights = np.asarray([weight for name in layers.names for weight in lists.get(name, [])], np.float64)
        except LakeError as error:
            raise LakeError(
                f"{error}. A run does not recompute weights: define the selection {record.name} again",
                code="lake.weights",
                path=str(path),
                selection=record.name,
            ) from error
        if weights_id(layers, weights) != record.weights_id:
            raise LakeError(
                f"{path} is damaged: its content has another id; define the selection {record.name} again",
                code="lake.weights",
                path=str(path),
                selection=record.name,
            )
        return weights

    def _commit(self, name: str, **facts: Any) -> SelectionRecord:
        while True:
            seq = 1 + max((record.seq for record in self.history(name)), default=0)
            record = SelectionRecord(name=name, seq=seq, created_at=now(), **facts)
            if write_new(self._layout.selection(name, seq), record.to_bytes()):
                return record


def weights_id(layers: Layers, weights: NDArray[np.float64]) -> str:
    """The id of weights over the neurons of layers."""
    hasher = hashlib.sha256(repr(layers.key()).encode())
    hasher.update(np.ascontiguousarray(weights, "<f8").tobytes())
    return hasher.hexdigest()[:ID_LENGTH]


def _table(identity: str, layers: Layers, weights: NDArray[np.float64]) -> bytes:
    """One row per layer, as for neuron distances, so that SQL multiplies list by list."""
    table = pa.table(
        {
            "weights_id": [identity] * len(layers),
            "layer": layers.names,
            "weights": pa.array([weights[part] for part in layers.slices.values()], pa.list_(pa.float64())),
        }
    )
    return to_parquet(table, {}, split=["weights.list.element"])
