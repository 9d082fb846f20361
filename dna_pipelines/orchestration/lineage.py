"""Which columns each column is computed from: Dagster shows this as column lineage."""

from collections.abc import Mapping

import dagster as dg

from dna_pipelines.orchestration.keys import MANIFEST, key_of

_COLUMN_LINEAGE = "dagster/column_lineage"
_FROM_ACTIVATIONS = ("n_values", "clipped_low", "clipped_high", "n_zero", "n_nan", "minimum", "maximum", "counts")
_FROM_IMAGES = ("n_images", "mean", "variance")


def dna_lineage(extractor: str) -> dict[str, dg.TableColumnLineage]:
    """The columns of a DNA: all are computed from the images that the manifest names by digest."""
    images = (MANIFEST, ["digest"])
    edges = {"clipped_low", "clipped_high", "counts"}
    ranges = (key_of(extractor, "ranges"), ["minimum", "maximum"])
    return _lineage(
        {name: [images, ranges] if name in edges else [images] for name in (*_FROM_ACTIVATIONS, *_FROM_IMAGES)}
    )


def distances_lineage(extractor: str) -> dict[str, dg.TableColumnLineage]:
    """The columns of the distances: EMD is computed from the counts, NFD and FD from the moments."""
    dna = key_of(extractor, "dna")
    return _lineage(
        {
            "dna_a": [(dna, ["dna_id"])],
            "dna_b": [(dna, ["dna_id"])],
            "emd_bins": [(dna, ["counts"])],
            "emd_range": [(dna, ["counts"])],
            "nfd": [(dna, ["mean", "variance"])],
            "fd": [(dna, ["mean", "variance"])],
        }
    )


def matrix_lineage(extractor: str) -> dict[str, dg.TableColumnLineage]:
    """The columns of the matrix: each cell is the mean over the layers, weighted by their numbers of neurons."""
    distances = key_of(extractor, "distances")
    cells = {name: [(distances, [name, "n_neurons"])] for name in ("emd_bins", "emd_range", "nfd")}
    names = {f"dataset_{side}": [(distances, [f"dna_{side}"]), (MANIFEST, ["dataset"])] for side in "ab"}
    return _lineage({**names, **cells, "fd": [(distances, ["fd"])]})


def _lineage(
    columns: Mapping[str, list[tuple[dg.AssetKey, list[str]]]],
) -> dict[str, dg.TableColumnLineage]:
    deps = {
        column: [dg.TableColumnDep(key, name) for key, names in sources for name in names]
        for column, sources in columns.items()
    }
    return {_COLUMN_LINEAGE: dg.TableColumnLineage(deps)}
