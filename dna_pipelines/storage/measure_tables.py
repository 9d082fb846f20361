"""Each measure as a table, one row per neuron (or per image, or per layer)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dna_pipelines.distributions import COARSE_BINS, Blocks, Covariance, Histogram, ImageFeatures, Layers, Moments
from dna_pipelines.dna import Partial
from dna_pipelines.identity import N_BLOCKS
from dna_pipelines.storage.tables import damage_named, list_column, matrix, read_parquet, to_parquet, vector

_TALLIES = ("n_values", "clipped_low", "clipped_high", "n_zero", "n_nan", "minimum", "maximum")
_COUNTS = "counts.list.element"

TABLES = ("histogram", "moments", "covariance", "blocks", "images")
"""The tables of a partial; moments are two of them, because covariances have one row per layer."""

DNA_TABLES = ("histogram", "moments", "covariance", "blocks")
"""The tables of a DNA."""

Extra = Mapping[str, Any]


def measure_files(partial: Partial, layers: Layers, extra: Extra) -> dict[str, bytes]:
    """The tables of a partial as Parquet files; `extra` goes into their metadata."""
    return {
        **dna_files(partial.histogram, partial.moments, partial.blocks, layers, extra),
        "images": _images(partial.images, extra),
    }


def dna_files(histogram: Histogram, moments: Moments, blocks: Blocks, layers: Layers, extra: Extra) -> dict[str, bytes]:
    """The summed tables as Parquet files."""
    return {
        "histogram": _histogram(histogram, layers, extra),
        "moments": _moments(moments, layers, extra),
        "covariance": _covariances(moments, extra),
        "blocks": _blocks(blocks, layers, extra),
    }


def read_histogram(path: Path, layer: int | None = None) -> Histogram:
    """A histogram, of all layers or of one: each layer is a row group."""
    with damage_named(path):
        table, metadata = read_parquet(path, ["counts", *_TALLIES], None if layer is None else [layer])
        return Histogram(matrix(table["counts"], metadata["n_bins"]), *(vector(table, name) for name in _TALLIES))


def read_moments(path: Path, covariance_path: Path, layer: int | None = None) -> Moments:
    """Moments with their covariances, of all layers or of one."""
    with damage_named(path):
        table, _ = read_parquet(path, ["n_images", "mean", "m2", "layer"], None if layer is None else [layer])
        n_images, mean, m2 = (vector(table, name) for name in ("n_images", "mean", "m2"))
        name = None if layer is None else table["layer"][0].as_py()
    return Moments(n_images, mean, m2, read_covariances(covariance_path, name))


def read_covariances(path: Path, layer: str | None = None) -> dict[str, Covariance]:
    """The covariances by layer, from their upper triangles; of all layers or of one, which may have none."""
    with damage_named(path):
        if layer is not None and layer not in read_parquet(path, ["layer"])[0]["layer"].to_pylist():
            return {}
        table, _ = read_parquet(path)
        if layer is not None:
            table = table.filter(pc.equal(table["layer"], layer))
        return {table["layer"][row].as_py(): _covariance(table, row) for row in range(table.num_rows)}


def _covariance(table: pa.Table, row: int) -> Covariance:
    mean = table["mean"][row].values.to_numpy()
    full = np.zeros((len(mean), len(mean)))
    upper = np.triu_indices(len(mean))
    full[upper] = table["comoment_upper"][row].values.to_numpy()
    full.T[upper] = full[upper]
    return Covariance(table["n_images"][row].as_py(), mean, full)


def read_blocks(path: Path, layer: int | None = None) -> Blocks:
    """The coarse counts per block, of all layers or of one."""
    with damage_named(path):
        table, metadata = read_parquet(path, ["counts"], None if layer is None else [layer])
        counts = matrix(table["counts"], N_BLOCKS * COARSE_BINS).reshape(-1, N_BLOCKS, COARSE_BINS)
        return Blocks(counts, np.asarray(metadata["block_n_images"], np.uint64))


def read_images(path: Path) -> ImageFeatures:
    """The rows per image."""
    with damage_named(path):
        table, metadata = read_parquet(path)
        widths: dict[str, int] = metadata["layers"]
        pooled = {name: matrix(table[f"pooled/{name}"], width) for name, width in widths.items()}
        return ImageFeatures(tuple(table["digest"].to_pylist()), pooled, matrix(table["signs"], metadata["sign_bytes"]))


def read_partial(path_of: Callable[[str], Path]) -> Partial:
    """A whole partial; `path_of` gives the path of each table."""
    moments = read_moments(path_of("moments"), path_of("covariance"))
    histogram, blocks = read_histogram(path_of("histogram")), read_blocks(path_of("blocks"))
    return Partial(histogram, moments, blocks, read_images(path_of("images")))


def _rows(layers: Layers, extra: Extra) -> dict[str, Any]:
    """The columns that identify the neuron of each row, and its DNA or shard."""
    n_neurons = layers.n_neurons
    names = [layer.name for layer in layers]
    widths = [layer.n_neurons for layer in layers]
    neuron = np.concatenate([np.arange(width) for width in widths]) if widths else np.zeros(0)
    columns = {name: pa.array([value] * n_neurons) for name, value in extra.items() if name in ("dna_id", "shard_id")}
    columns["layer"] = pa.array(np.repeat(names, widths))
    columns["neuron"] = pa.array(neuron.astype(np.int32))
    columns["kind"] = pa.array(np.repeat([layer.kind for layer in layers], widths))
    return columns


def _histogram(histogram: Histogram, layers: Layers, extra: Extra) -> bytes:
    columns = _rows(layers, extra)
    columns |= {name: pa.array(getattr(histogram, name)) for name in _TALLIES}
    columns["counts"] = list_column(histogram.counts)
    return _per_layer(columns, layers, {**extra, "n_bins": histogram.counts.shape[1]}, split=[_COUNTS])


def _moments(moments: Moments, layers: Layers, extra: Extra) -> bytes:
    columns = _rows(layers, extra)
    columns |= {
        "n_images": pa.array(moments.n_images),
        "mean": pa.array(moments.mean),
        "m2": pa.array(moments.m2),
        "variance": pa.array(moments.variance),
    }
    return _per_layer(columns, layers, extra, split=["mean", "m2", "variance"])


def _blocks(blocks: Blocks, layers: Layers, extra: Extra) -> bytes:
    columns = _rows(layers, extra)
    columns["counts"] = list_column(blocks.counts.reshape(len(blocks.counts), N_BLOCKS * COARSE_BINS))
    facts = {"block_n_images": blocks.n_images.tolist(), "n_blocks": N_BLOCKS, "coarse_bins": COARSE_BINS}
    return _per_layer(columns, layers, {**extra, **facts}, split=[_COUNTS])


def _covariances(moments: Moments, extra: Extra) -> bytes:
    items = list(moments.covariances.items())
    table = pa.table(
        {
            "layer": pa.array([name for name, _ in items], pa.string()),
            "n_images": pa.array([covariance.n_images for _, covariance in items], pa.uint64()),
            "mean": pa.array([covariance.mean for _, covariance in items], pa.list_(pa.float64())),
            "comoment_upper": pa.array(
                [_upper(covariance.comoment) for _, covariance in items], pa.list_(pa.float64())
            ),
        }
    )
    return to_parquet(table, extra, split=["mean.list.element", "comoment_upper.list.element"])


def _images(images: ImageFeatures, extra: Extra) -> bytes:
    columns: dict[str, Any] = {"digest": pa.array(images.digests, pa.string())}
    columns["signs"] = list_column(images.signs)
    columns |= {f"pooled/{name}": list_column(rows) for name, rows in images.pooled.items()}
    widths = {name: rows.shape[1] for name, rows in images.pooled.items()}
    return to_parquet(pa.table(columns), {**extra, "layers": widths, "sign_bytes": images.signs.shape[1]})


def _upper(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values[np.triu_indices(len(values))])


def _per_layer(columns: dict[str, Any], layers: Layers, metadata: Extra, split: list[str]) -> bytes:
    return to_parquet(pa.table(columns), metadata, split=split, row_groups=[layer.n_neurons for layer in layers])
