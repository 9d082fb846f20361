"""Significance tests of all pairs of current datasets, corrected for the number of tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.selections.stored import extractor_selection
from dna_pipelines.analysis.significance.measurements import LakeMeasurements
from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS, pair_significance
from dna_pipelines.analysis.significance.result import SignificanceResult, remarks_json, with_aliases
from dna_pipelines.comparison import Selection
from dna_pipelines.comparison.multiplicity import benjamini_hochberg, benjamini_yekutieli
from dna_pipelines.comparison.significance import LEVEL
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor, used_ranges

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixPair:
    """The result for one pair of a matrix, corrected for all pairs.

    Attributes:
        a, b: the datasets.
        result: the result of the pair alone.
        p_bh, p_by: p corrected for all pairs, by Benjamini and Hochberg and by Benjamini and Yekutieli; NaN where the
            pair could not be tested. A p with caveats does not make another pair significant.
    """

    a: str
    b: str
    result: SignificanceResult
    p_bh: float
    p_by: float

    @property
    def significant(self) -> bool | None:
        """Whether the pair differs significantly; None where it could not be tested.

        Pairs that share a dataset depend on each other in unknown ways, so the correction that holds under any
        dependence (`p_by`) decides.
        """
        if self.result.same:
            return False
        return None if np.isnan(self.p_by) else self.p_by <= LEVEL

    def facts(self) -> dict[str, Any]:
        """What the result says of the pair, by name."""
        statistics = self.result.statistics
        return {
            "a": self.a,
            "b": self.b,
            "significant": self.significant,
            **{name: getattr(statistics, name, None) for name in ("p", "p_mean", "p_strongest", "p_tail")},
            "p_bh": self.p_bh,
            "p_by": self.p_by,
            "n_sampled_of": self.result.n_sampled_of,
            **remarks_json(self.result.not_tested, self.result.caveats),
        }

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, with the old names of the keys."""
        return with_aliases(self.facts(), of_matrix=True)


def matrix_significance(
    project: ProjectFolder,
    extractor: str,
    *,
    selection: str | None = None,
    n_permutations: int = N_PERMUTATIONS,
    progress: Progress | None = None,
) -> list[MatrixPair]:
    """Test every pair of current DNAs. Stored results are reused.

    Args:
        project: the project of the datasets.
        extractor: the name of one of its extractors.
        selection: the name of a stored selection; by default every neuron counts.
        n_permutations: the number of permutations for each pair.
        progress: shows the pairs being tested, and the images of samples being extracted.
    """
    key, names = used_extractor(project, extractor).comparability_key, list(current_dnas(project, extractor))
    sets = {name: resolve_image_set(project, name) for name in names}
    pairs: list[tuple[str, str]] = list(combinations(names, 2))
    chosen = (
        extractor_selection(project, selection, extractor)
        if selection
        else Selection.everything(used_ranges(project, extractor).layers)
    )
    results, measured = [], LakeMeasurements(project, key, extractor, progress)
    with (progress or Silent()).task(f"testing pairs of {extractor}", len(pairs)) as advance:
        for a, b in pairs:
            results.append(pair_significance(measured, sets[a], sets[b], chosen, n_permutations, progress))
            advance(1)
    p = np.array([result.statistics.p_tail if result.statistics else np.nan for result in results])
    with_caveats = np.array([bool(result.caveats) for result in results], np.bool_)
    p_bh, p_by = (_corrected(correct, p, with_caveats) for correct in (benjamini_hochberg, benjamini_yekutieli))
    return [
        MatrixPair(a, b, result, float(bh), float(by))
        for (a, b), result, bh, by in zip(pairs, results, p_bh, p_by, strict=True)
    ]


def _corrected(correct: Callable[[F64], F64], p: F64, with_caveats: NDArray[np.bool_]) -> F64:
    """(n,) p corrected for all tests. Tests with caveats count as tests, but do not help the others.

    Small p-values make the correction of the others milder, which a p that may be wrongly small must not do.
    """
    return np.where(with_caveats, correct(p), correct(np.where(with_caveats & np.isfinite(p), 1.0, p)))
