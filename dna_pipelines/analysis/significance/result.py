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
"""Keys of JSON values before release 0.2, which this release writes beside the new ones and the next one drops."""

_PAIR_ALIASES = {"differs": "significant"}
"""The same for the pairs of a matrix."""


@dataclass(frozen=True)
class SignificanceResult:
    """The result of a significance test of two sets of images, or the reason why they were not tested.

    Attributes:
        statistics: the statistics of the test; None if nothing was tested.
        not_tested: the reason why not; None if it was tested, and if both sides are the same images.
        same: whether both sides are the same images, so that there is nothing to test.
        a, b: labels of the tested sets, which differ from the compared ones where the sides share images, or where one
            is a sample.
        remainder_of: the label of the set that `a` is the remainder of, where the sides share images; else empty.
        n_images_a, n_images_b: the number of images of the tested sets.
        n_shared: the number of images that both sides have.
        n_sampled_of: the number of images of the larger side if a sample of them was tested; else 0.
        n_images_extracted: the number of images extracted for that sample; 0 if it had a DNA already.
        sampling_unit: the unit that the test assumes to be independent.
        caveats: assumptions that may be violated.
        also: the other test, where each side has images that the other does not have. The first has the smaller p, and
            the p-values of both are corrected for two tests.
        not_stored: why the result could not be stored; empty where it was, or where none is stored.
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
    not_stored: str = ""

    @property
    def significant(self) -> bool | None:
        """Whether the sides differ significantly; False for the same images, None if it was not tested."""
        if self.statistics is None:
            return False if self.same else None
        return None if np.isnan(self.statistics.p) else self.statistics.significant

    @property
    def summary(self) -> str:
        """The outcome and the p-values in words, or the reason why there are none."""
        if self.statistics is None:
            return "the same images" if self.same else f"not tested: {self.not_tested}"
        return p_in_words(self.statistics)

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, without the p-values of single neurons."""
        value: dict[str, Any] = {
            name: part
            for name, part in vars(self).items()
            if name not in ("statistics", "not_tested", "caveats", "also", "not_stored")
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
    """The reason and the caveats as objects."""
    return {
        "reason_not_tested": not_tested.to_json() if not_tested else None,
        "caveats": [caveat.to_json() for caveat in caveats],
    }


def with_aliases(value: dict[str, Any], *, of_matrix: bool = False) -> dict[str, Any]:
    """A JSON value with the old names of its keys beside the new ones.

    Under their old names, `why_not` and `doubts`, the reason and the caveats are their messages alone.
    """
    aliases = ALIASES | _PAIR_ALIASES if of_matrix else ALIASES
    old_values = {old: value[new] for old, new in aliases.items() if new in value}
    if "caveats" in value:
        reason = value["reason_not_tested"]
        old_values["why_not"] = reason["message"] if reason else None
        old_values["doubts"] = [caveat["message"] for caveat in value["caveats"]]
    return {**value, **old_values}


def p_in_words(statistics: Significance) -> str:
    """The outcome and p in words, with the p-values of the mean distance and of the strongest neuron alone."""
    if np.isnan(statistics.p):
        return "not tested: no neuron has values on both sides"
    outcome = "significant" if statistics.significant else "not significant"
    tail = f", tail estimate {statistics.p_tail:.1g}" if statistics.tail_estimated else ""
    if np.isnan(statistics.p_strongest):
        return f"{outcome}: p = {statistics.p:.2g}{tail} (of the mean distance alone: no neuron varies when permuted)"
    alone = f"of the mean distance {statistics.p_mean:.2g}, of the strongest neuron {statistics.p_strongest:.2g}"
    return f"{outcome}: p = {statistics.p:.2g}{tail} ({alone})"
