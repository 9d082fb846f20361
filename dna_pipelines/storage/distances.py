"""Distances in the lake: per layer for all pairs, per neuron and per selection on request."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dna_pipelines.comparison import Comparison, LayerDistance, SteeredDistance
from dna_pipelines.dna import Dna
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import stable_hash
from dna_pipelines.storage.checksums import json_with_checksum, verified_json
from dna_pipelines.storage.files import if_writable, remove, replace
from dna_pipelines.storage.layout import Layout
from dna_pipelines.storage.tables import (
    is_damaged,
    list_column,
    put_table,
    read_parquet,
    require_footer,
    to_parquet,
    unless_damaged,
)

Pair = tuple[str, str]
"""A pair of DNA ids, the smaller first."""

LAYER_SCHEMA = pa.schema(
    [
        ("comparability_key", pa.string()),
        ("dna_a", pa.string()),
        ("dna_b", pa.string()),
        ("layer", pa.string()),
        ("n_neurons", pa.int32()),
        ("emd_bins", pa.float64()),
        ("emd_range", pa.float64()),
        ("nfd", pa.float64()),
        ("fd", pa.float64()),
        ("n_emd", pa.int32()),
        ("n_nfd", pa.int32()),
    ]
)


STEERED_SCHEMA = pa.schema(
    [
        ("weights_id", pa.string()),
        ("dna_a", pa.string()),
        ("dna_b", pa.string()),
        ("emd_bins", pa.float64()),
        ("emd_range", pa.float64()),
        ("nfd", pa.float64()),
    ]
)


class Distances:
    """Each pair is stored once, with the smaller id first."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def complete(self, comparability_key: str) -> tuple[set[str], set[Pair]]:
        """DNAs of which all pairs are stored, and other pairs that are, by the last note."""
        note = self._layout.complete_pairs(comparability_key)
        try:
            noted = json.loads(verified_json(note.read_bytes()))
            if not self._files(comparability_key).issuperset(noted["files"]):
                return set(), set()
            for file in noted["files"]:
                require_footer(self._layout.layer_distances("x").with_name(file))
            return set(noted["dnas"]), {(a, b) for a, b in noted["pairs"]}
        except (LakeError, OSError, ValueError, KeyError, TypeError, RecursionError):
            # The note only saves time: without it the files are read, and those that are damaged are found.
            return set(), set()

    def note_complete(self, comparability_key: str, dnas: Iterable[str], pairs: Iterable[Pair]) -> None:
        """Note that all pairs of some DNAs are stored, and some other pairs.

        The note is valid as long as all files that existed when it was made still exist.
        """
        files = sorted(self._files(comparability_key))
        note = {"dnas": sorted(dnas), "pairs": sorted(pairs), "files": files}
        data = json_with_checksum(json.dumps(note).encode())
        if_writable(lambda: replace(self._layout.complete_pairs(comparability_key), data))

    def remove_damaged(self, comparability_key: str) -> None:
        """Remove damaged files with layer distances of a key, whose pairs are then computed again."""
        for name in self._files(comparability_key):
            path = self._layout.layer_distances("x").with_name(name)
            if is_damaged(path):
                remove(path)

    def _files(self, comparability_key: str) -> set[str]:
        """The names of the files with layer distances."""
        try:
            names = os.listdir(self._layout.layer_distances("x").parent)
        except FileNotFoundError:
            return set()
        return {name for name in names if name.startswith(f"{comparability_key}-")}

    def drawn(self, extractor: str) -> str | None:
        """The id of the matrix that was drawn last; None before the first."""
        try:
            return self._layout.drawn(extractor).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            # Without the note the matrix is drawn once more.
            return None

    def note_drawn(self, extractor: str, matrix_id: str) -> None:
        """Note which matrix was drawn, where that can be written."""
        if_writable(lambda: replace(self._layout.drawn(extractor), matrix_id.encode()))

    def known_pairs(self, comparability_key: str, among: Collection[str]) -> set[Pair]:
        """The pairs of some DNAs whose layer distances are stored."""
        return _pairs(self._layout.layer_distances("x").parent.glob(f"{comparability_key}-*.parquet"), among)

    def steered_pairs(self, weights_id: str, among: Collection[str]) -> set[Pair]:
        """The pairs of some DNAs whose distances under some weights are stored."""
        return _pairs(self._layout.steered_distances("x").parent.glob(f"{weights_id}-*.parquet"), among)

    def put_steered(self, weights_id: str, distances: Iterable[SteeredDistance]) -> None:
        """Store distances under some weights; the name of the file is a hash of its pairs."""
        rows = [(weights_id, pair.a, pair.b, pair.emd_bins, pair.emd_range, pair.nfd) for pair in distances]
        if not rows:
            return
        columns = dict(zip(STEERED_SCHEMA.names, map(list, zip(*rows, strict=True)), strict=True))
        pairs = sorted((row[1], row[2]) for row in rows)
        path = self._layout.steered_distances(f"{weights_id}-{stable_hash(pairs)}")
        put_table(path, to_parquet(pa.table(columns, schema=STEERED_SCHEMA), {"n_pairs": len(pairs)}))

    def put_layers(self, comparability_key: str, distances: Iterable[LayerDistance]) -> None:
        """Store layer distances; the name of the file is a hash of its pairs, so writing them twice changes nothing."""
        rows = [asdict(distance) for distance in distances]
        if not rows:
            return
        pairs = sorted({(row["a"], row["b"]) for row in rows})
        columns = {name: [row[name] for row in rows] for name in LAYER_SCHEMA.names if name in rows[0]}
        columns["dna_a"], columns["dna_b"] = [row["a"] for row in rows], [row["b"] for row in rows]
        columns["comparability_key"] = [comparability_key] * len(rows)
        table = pa.table({name: columns[name] for name in LAYER_SCHEMA.names}, schema=LAYER_SCHEMA)
        path = self._layout.layer_distances(f"{comparability_key}-{stable_hash(pairs)}")
        put_table(path, to_parquet(table, {"n_pairs": len(pairs)}))

    def put_neurons(self, comparison: Comparison) -> None:
        """Store the neuron distances of a pair of DNAs of the lake: one row per metric and layer."""
        a, b = comparison.a, comparison.b
        if not (isinstance(a, Dna) and isinstance(b, Dna)):
            return
        if a.id > b.id:
            a, b = b, a
        rows = [
            (metric, name, values[part])
            for metric, values in (("emd_bins", comparison.emd_bins), ("nfd", comparison.nfd))
            for name, part in a.layers.slices.items()
        ]
        table = pa.table(
            {
                "dna_a": [a.id] * len(rows),
                "dna_b": [b.id] * len(rows),
                "metric": [metric for metric, _, _ in rows],
                "layer": [name for _, name, _ in rows],
                "values": _lists([values.astype(np.float32) for _, _, values in rows]),
            }
        )
        put_table(self._layout.neuron_distances(a.id, b.id), to_parquet(table, {}, split=["values.list.element"]))


def _pairs(paths: Iterable[Path], among: Collection[str]) -> set[Pair]:
    """The pairs in some files, of those between some DNAs; those in damaged files count as missing."""
    pairs: set[Pair] = set()
    wanted = pa.array(among, pa.string())

    def read_one(path: Path) -> list[Pair]:
        table, _ = read_parquet(path, ["dna_a", "dna_b"])
        table = table.filter(pc.and_(*(pc.is_in(table[name], wanted) for name in ("dna_a", "dna_b"))))
        return list(zip(table["dna_a"].to_pylist(), table["dna_b"].to_pylist(), strict=True))

    for path in paths:
        pairs.update(unless_damaged(path, partial(read_one, path)) or ())
    return pairs


def _lists(rows: Sequence[np.ndarray[tuple[int], np.dtype[np.float32]]]) -> pa.Array:
    if len({len(row) for row in rows}) == 1:
        return list_column(np.stack(rows))
    return pa.array(rows, pa.list_(pa.float32()))
