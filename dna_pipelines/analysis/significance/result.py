"""The result of a significance test, and its JSON value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dna_pipelines.comparison import Significance
from dna_pipelines.comparison.caveats import Caveat, NotTested

ALIASES = {
    "more_than_chance": "significant",
    "noise_floor_bins": "null_mean_bins",
    "noise_spread_bins": "null_sd_bins",
    "debiased_bins": "bias_corrected_bins",
    "low_bins": "ci_low_bins",
    "high_bins": "ci_high_bins",
    "extrapolated": "tail_estimated",
    "n_resamples": "n_permutations",
    "unit": "sampling_unit",
    "rest_of": "remainder_of",
    "in_words": "summary",
}
"""Keys of JSON values before release 0.2, which are still there beside the new ones. The next release drops them."""

_PAIR_ALIASES = {"differs": "significant"}
"""Likewise, of the pairs of a matrix."""


@dataclass(frozen=True)
class SignificanceResult:
    """What a significance test of two sets of images says, or why there was none.

    Attributes:
        statistics: None where nothing was tested.
        not_tested: why; None where it was tested, and where both sides are the same images.
        same: both sides are the same images, so there is nothing to test.
        a, b: labels of what was tested. This differs from what was asked for where the sides share images, or where
            one is a sample.
        remainder_of: label of the set that `a` is the remainder of, where the sides share images; else empty.
        n_shared: images that both sides have.
        n_sampled_of: images of the larger side where a sample of them was tested; 0 where all were.
        n_images_extracted: for that sample, now; 0 where it was measured before.
        sampling_unit: what is taken for independent.
        caveats: assumptions that may be violated.
        also: the other test, where each side has images that the other lacks. The first is the one that is farther
            out, and the p-values of both are corrected for two tests.
    """

    statistics: Significance | None
    not_tested: NotTested | None = None
    same: bool = False
    a: str = ""
    b: str = ""
    remainder_of: str = ""
    n_images_a: int = 0
    n_images_b: int = 0
    n_shared: int = 0
    n_sampled_of: int = 0
    n_images_extracted: int = 0
    sampling_unit: str = ""
    caveats: tuple[Caveat, ...] = ()
    also: SignificanceResult | None = None

    @property
    def significant(self) -> bool | None:
        """Whether the sides differ significantly; False for the same images, None where it was not tested."""
        if self.statistics is None:
            return False if self.same else None
        return None if np.isnan(self.statistics.p) else self.statistics.significant

    @property
    def summary(self) -> str:
        """What the test says and its p-values, or why there is none."""
        if self.statistics is None:
            return "the same images" if self.same else f"not tested: {self.not_tested}"
        return p_in_words(self.statistics)

    def to_json(self) -> dict[str, Any]:
        """As a JSON value; p-values of neurons only of those that changed."""
        value: dict[str, Any] = {
            name: part
            for name, part in vars(self).items()
            if name not in ("statistics", "not_tested", "caveats", "also")
        }
        value |= remarks_json(self.not_tested, self.caveats)
        if self.also:
            value["also"] = self.also.to_json()
        value |= {"significant": None, "p": None, "summary": self.summary}
        if statistics := self.statistics:
            value |= {name: part for name, part in vars(statistics).items() if name not in ("layers", "neuron_p")}
            value |= {name: getattr(statistics, name) for name in ("significant", "n_tested", "n_changed")}
            value["layers"] = [with_aliases(asdict(layer)) for layer in statistics.layers]
        return with_aliases(value)


def remarks_json(not_tested: NotTested | None, caveats: tuple[Caveat, ...]) -> dict[str, Any]:
    """The reason and the caveats as objects; and, as before release 0.2, their messages alone."""
    return {
        "reason_not_tested": not_tested.to_json() if not_tested else None,
        "caveats": [caveat.to_json() for caveat in caveats],
        "why_not": str(not_tested) if not_tested else None,
        "doubts": [str(caveat) for caveat in caveats],
    }


def with_aliases(value: dict[str, Any], *, of_matrix: bool = False) -> dict[str, Any]:
    """A JSON value with the old names of its keys beside the new ones."""
    aliases = ALIASES | _PAIR_ALIASES if of_matrix else ALIASES
    return {**value, **{old: value[new] for old, new in aliases.items() if new in value}}


def p_in_words(statistics: Significance) -> str:
    """Whether the difference is significant, and how rare its mean and its strongest neuron are alone."""
    if np.isnan(statistics.p):
        return "not tested: no neuron has values on both sides"
    outcome = "significant" if statistics.significant else "not significant"
    tail = f", tail estimate {statistics.p_tail:.1g}" if statistics.tail_estimated else ""
    if np.isnan(statistics.p_strongest):
        return f"{outcome}: p = {statistics.p:.2g}{tail} (of the mean distance alone: no neuron varies when permuted)"
    alone = f"mean distance {statistics.p_mean:.2g}, strongest neuron {statistics.p_strongest:.2g}"
    return f"{outcome}: p = {statistics.p:.2g}{tail} ({alone})"
