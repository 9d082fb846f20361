"""The matrix of distances between all datasets: as the lake stores it, or computed on request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.selections.stored import extractor_selection, find_record
from dna_pipelines.comparison import LayerMeasures, Selection, steered_distances
from dna_pipelines.comparison.matrix import Matrix
from dna_pipelines.comparison.metrics import KEPT, METRICS, histogram_distance
from dna_pipelines.comparison.metrics import metric as metric_of
from dna_pipelines.distributions import Layers
from dna_pipelines.errors import UserError
from dna_pipelines.project.current import current_dnas, publish
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder

_IN_MEMORY = 64
"""The number of histograms of a layer to cache (6 MB each for 768 neurons); up to that many DNAs, each is read once."""


def find_matrix(
    project: ProjectFolder,
    extractor: str,
    metric: str = "emd_bins",
    *,
    selection: str | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """The distances between all watched datasets that have a DNA, in the order of the datasets file.

    The lake stores some metrics for all pairs; others are computed. Under a selection, distances that were computed
    before are read from the lake.

    Args:
        project: the project of the datasets.
        extractor: the name of one of its extractors.
        metric: the name of one of `METRICS`.
        selection: a stored selection, NAME or NAME@2; by default every neuron counts.
        progress: shows the pairs being compared.

    Raises:
        UnknownName: when there is no such extractor, metric or selection.
        NothingToCompare: when the extractor has not been used yet.
        UserError: for FD under a selection.
    """
    project.extractor_config(extractor)
    metric_of(metric)
    if selection:
        return _selected(project, extractor, metric, selection, progress)
    if metric not in KEPT:
        return _computed(project, extractor, metric, None, "", progress)
    publish(project)
    names = [dataset.name for dataset in project.config().datasets]
    return Matrix.from_rows(extractor, metric, names, project.catalog.rows("FROM matrix"))


def _computed(
    project: ProjectFolder,
    extractor: str,
    name: str,
    selection: Selection | None,
    selection_name: str,
    progress: Progress | None,
) -> Matrix:
    """The mean over neurons of any distance of histograms, between all current DNAs of an extractor."""
    store, current = project.lake.fingerprints, current_dnas(project, extractor)
    dnas = [(dataset, record) for dataset, identity in current.items() if (record := store.dna_record(identity))]
    names = tuple(dataset for dataset, _ in dnas)
    if len(names) < 2:
        return Matrix(extractor, name, (), np.zeros((0, 0)), selection_name)
    totals, n_known = np.zeros((2, len(names), len(names)))
    layers = Layers.from_key(dnas[0][1].layers)
    chosen = selection or Selection.everything(layers)
    n_pairs = len(names) * (len(names) - 1) // 2
    with (progress or Silent()).task(f"comparing {extractor}", n_pairs * len(chosen.names())) as advance:
        for layer in chosen.names():
            weights = chosen.weights[layers.slice_of(layer)]
            counts = _layer_counts(project, layers.names.index(layer))
            for i, j in combinations(range(len(names)), 2):
                values = histogram_distance(name, *(counts(dnas[row][1].dna_id) for row in (i, j)))
                known = np.isfinite(values)
                totals[i, j] += values[known] @ weights[known]
                n_known[i, j] += weights[known].sum()
                advance(1)
    values = np.full(totals.shape, np.nan)
    np.divide(totals, n_known, out=values, where=n_known > 0)
    values = np.where(np.isnan(values), values.T, values)
    np.fill_diagonal(values, 0.0)
    return Matrix(extractor, name, names, values, selection_name)


def _layer_counts(project: ProjectFolder, layer: int) -> Callable[[str], NDArray[np.uint64]]:
    """A function that reads the counts of a layer of a DNA, and caches the last results."""

    @lru_cache(maxsize=_IN_MEMORY)
    def read(dna_id: str) -> NDArray[np.uint64]:
        histogram, _ = project.lake.fingerprints.dna_layer(dna_id, layer)
        return histogram.counts

    return read


def _selected(project: ProjectFolder, extractor: str, metric: str, reference: str, progress: Progress | None) -> Matrix:
    """The distances between all current datasets under a selection.

    Every DNA is read once for each 32 others, only in the layers that have weight. Three numbers are stored for each
    pair and selection. Distances of single neurons are not stored: among 1,000 datasets of 10,000 neurons they would
    take 20 GB.
    """
    if metric == "fd":
        others = ", ".join(each.name for each in METRICS if each.name != "fd")
        raise UserError(
            f"FD compares whole layers and not single neurons, so it cannot be computed for a selection; "
            f"choose one of: {others}",
            code="selection.fd",
            name=reference,
            known=[each.name for each in METRICS if each.name != "fd"],
        )
    record, store = find_record(project, reference), project.lake.fingerprints
    current = current_dnas(project, extractor)
    chosen, selection_name = extractor_selection(project, reference, extractor), f"{record.name}@{record.seq}"
    if metric not in KEPT:
        return _computed(project, extractor, metric, chosen, selection_name, progress)
    ids = sorted(set(current.values()))
    pairs = set(combinations(ids, 2))
    missing = sorted(pairs - project.lake.distances.steered_pairs(record.weights_id, ids)) if pairs else []
    if missing:
        indices = {name: index for index, name in enumerate(chosen.layers.names)}

        def measures(identity: str, layer: str) -> LayerMeasures:
            return LayerMeasures(*store.dna_layer(identity, indices[layer]))

        total = len(missing) * len(chosen.names())
        with (progress or Silent()).task(f"comparing {extractor} by {record.name}", total) as advance:
            distances = steered_distances(missing, chosen, measures, advance)
        project.lake.distances.put_steered(record.weights_id, distances)
    publish(project)
    names = [dataset.name for dataset in project.config().datasets]
    rows = project.catalog.rows("FROM steered_matrix WHERE selection = ? AND version = ?", [record.name, record.seq])
    return Matrix.from_rows(extractor, metric, names, rows, selection=selection_name)
