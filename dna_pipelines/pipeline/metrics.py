"""Matrices of distances that the lake does not keep: computed when somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.comparison import Selection
from dna_pipelines.comparison.metrics import histogram_distance, metric
from dna_pipelines.distributions import Layers
from dna_pipelines.pipeline.progress import Progress, Silent
from dna_pipelines.pipeline.project import Project
from dna_pipelines.pipeline.versions import current_dnas
from dna_pipelines.reporting import Matrix

_IN_MEMORY = 64
"""Histograms of one layer that are kept in memory (6 MB each for 768 neurons): read once each up to that many DNAs."""


def asked_matrix(
    project: Project,
    extractor: str,
    name: str,
    progress: Progress | None = None,
    *,
    selection: Selection | None = None,
    called: str = "",
) -> Matrix:
    """The mean over neurons of any distance of histograms, between all current DNAs of an extractor.

    Args:
        project: where they are.
        extractor: one of the project's.
        name: a metric that takes histograms.
        progress: shows the pairs of each layer being compared.
        selection: the neurons that count; by default all.
        called: what the selection is called.

    Raises:
        UnknownName: when there is no such metric.
        NothingToCompare: when the extractor was never used.
    """
    metric(name)
    store, current = project.lake.fingerprints, current_dnas(project, extractor)
    found = [(dataset, record) for dataset, identity in current.items() if (record := store.dna_record(identity))]
    names = tuple(dataset for dataset, _ in found)
    if len(names) < 2:
        return Matrix(extractor, name, (), np.zeros((0, 0)), called)
    totals, n_known = np.zeros((2, len(names), len(names)))
    layers = Layers.from_key(found[0][1].layers)
    chosen = selection or Selection.everything(layers)
    n_pairs = len(names) * (len(names) - 1) // 2
    with (progress or Silent()).task(f"comparing {extractor}", n_pairs * len(chosen.names())) as advance:
        for layer in chosen.names():
            place, weights = layers.names.index(layer), chosen.weights[layers.slice_of(layer)]
            counts = _layer_counts(project, place)
            for i, j in combinations(range(len(names)), 2):
                values = histogram_distance(name, *(counts(found[row][1].dna_id) for row in (i, j)))
                known = np.isfinite(values)
                totals[i, j] += values[known] @ weights[known]
                n_known[i, j] += weights[known].sum()
                advance(1)
    values = np.full(totals.shape, np.nan)
    np.divide(totals, n_known, out=values, where=n_known > 0)
    values = np.where(np.isnan(values), values.T, values)
    np.fill_diagonal(values, 0.0)
    return Matrix(extractor, name, names, values, called)


def _layer_counts(project: Project, layer: int) -> Callable[[str], NDArray[np.uint64]]:
    """Reads the counts of one layer of a DNA, and keeps those that were used last."""

    @lru_cache(maxsize=_IN_MEMORY)
    def read(dna_id: str) -> NDArray[np.uint64]:
        histogram, _ = project.lake.fingerprints.dna_layer(dna_id, layer)
        return histogram.counts

    return read
