"""Which pairs of current datasets differ by more than chance, with control over so many tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.neuron_weights import extractor_layers, extractor_selection
from dna_pipelines.analysis.significance.pair import N_RESAMPLES, Judgement, judge_pair
from dna_pipelines.comparison import Selection
from dna_pipelines.comparison.multiplicity import benjamini_hochberg, benjamini_yekutieli
from dna_pipelines.comparison.significance import LEVEL
from dna_pipelines.project.current import current_dnas
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_extractor

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class PairJudgement:
    """One pair of the matrix.

    Attributes:
        p_bh, p_by: corrected for all pairs, after Benjamini and Hochberg, and Benjamini and Yekutieli; NaN where
            the pair could not be tested. A p that is in doubt helps no other pair.
    """

    a: str
    b: str
    judgement: Judgement
    p_bh: float
    p_by: float

    @property
    def differs(self) -> bool | None:
        """Whether the pair differs by more than chance; None where nobody knows.

        Pairs of one dataset depend on each other in ways that nobody promised, so it is the correction for any
        dependence that counts.
        """
        if self.judgement.same:
            return False
        return None if np.isnan(self.p_by) else self.p_by <= LEVEL

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        verdict = self.judgement.verdict
        return {
            "a": self.a,
            "b": self.b,
            "differs": self.differs,
            **{name: getattr(verdict, name, None) for name in ("p", "p_mean", "p_strongest", "p_tail")},
            "p_bh": self.p_bh,
            "p_by": self.p_by,
            "n_sampled_of": self.judgement.n_sampled_of,
            "why_not": self.judgement.why_not,
            "doubts": list(self.judgement.doubts),
        }


def judge_all(
    project: ProjectFolder,
    extractor: str,
    *,
    selection: str | None = None,
    n_resamples: int = N_RESAMPLES,
    progress: Progress | None = None,
) -> list[PairJudgement]:
    """Test every pair of current DNAs; verdicts that are kept are not made again.

    Args:
        project: where they are.
        extractor: one of the project's.
        selection: the name of a kept one; by default every neuron.
        n_resamples: how often blocks are dealt anew, for each pair.
        progress: shows the pairs that are done, and the images of samples being extracted.
    """
    key, names = used_extractor(project, extractor).comparability_key, list(current_dnas(project, extractor))
    members = {name: resolve_image_set(project, name) for name in names}
    pairs, judgements = list(combinations(names, 2)), []
    chosen = (
        extractor_selection(project, selection, extractor)
        if selection
        else Selection.everything(extractor_layers(project, extractor))
    )
    with (progress or Silent()).task(f"testing pairs of {extractor}", len(pairs)) as advance:
        for a, b in pairs:
            pair = members[a], members[b]
            judgements.append(judge_pair(project, *pair, key, chosen, extractor, n_resamples, progress))
            advance(1)
    p = np.array([one.verdict.p_tail if one.verdict else np.nan for one in judgements])
    in_doubt = np.array([bool(one.doubts) for one in judgements], np.bool_)
    both = (_corrected(correct, p, in_doubt) for correct in (benjamini_hochberg, benjamini_yekutieli))
    corrected = zip(pairs, judgements, *both, strict=True)
    return [PairJudgement(a, b, one, float(bh), float(by)) for (a, b), one, bh, by in corrected]


def _corrected(correct: Callable[[F64], F64], p: F64, in_doubt: NDArray[np.bool_]) -> F64:
    """P corrected for all tests, where those in doubt count as tests but not as findings for the others.

    Small p-values make the correction of the others milder, which one that is too small by mistake must not do.
    """
    return np.where(in_doubt, correct(p), correct(np.where(in_doubt & np.isfinite(p), 1.0, p)))
