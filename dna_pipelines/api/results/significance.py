"""The result of a significance test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dna_pipelines.analysis.significance.result import SignificanceResult
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table


@dataclass(frozen=True, eq=False, repr=False)
class TestResult(Result):
    """Whether a distance is significant.

    Attributes:
        result: the full result of the test, with the parts that `to_json` gives.
    """

    __test__ = False  # pytest would take the name for a class of tests

    result: SignificanceResult

    @property
    def a(self) -> str:
        """The first tested side: what was compared, or of images that both sides have the remainder."""
        return self.result.a

    @property
    def b(self) -> str:
        """The second tested side. Where images were added and removed, `a` and `b` may be the other way round."""
        return self.result.b

    @property
    def n_images(self) -> tuple[int, int]:
        """Tested images of `a` and `b`."""
        return self.result.n_images_a, self.result.n_images_b

    @property
    def n_shared(self) -> int:
        """Images that both compared sides have, and that were therefore left out on one of them."""
        return self.result.n_shared

    @property
    def significant(self) -> bool | None:
        """Whether the difference is significant at 5 %; False for the same images, None where nothing was tested."""
        return self.result.significant

    @property
    def p_value(self) -> float | None:
        """(k + 1) / (B + 1) over B permutations, corrected for the number of tests; None where nothing was tested."""
        return None if self.result.statistics is None else self.result.statistics.p

    @property
    def p_tail(self) -> float | None:
        """The tail estimate where the permutations alone cannot resolve p, else `p_value`; None as there."""
        return None if self.result.statistics is None else self.result.statistics.p_tail

    @property
    def emd(self) -> float | None:
        """The tested distance in bins, on the coarse histograms of blocks; None where nothing was tested."""
        return None if self.result.statistics is None else self.result.statistics.emd_bins

    @property
    def null_mean(self) -> float | None:
        """The mean of the permuted distances in bins: what equal datasets of these sizes give."""
        return None if self.result.statistics is None else self.result.statistics.null_mean_bins

    @property
    def null_sd(self) -> float | None:
        """The standard deviation of the permuted distances in bins."""
        return None if self.result.statistics is None else self.result.statistics.null_sd_bins

    @property
    def bias_corrected(self) -> float | None:
        """The distance minus the null mean, in bins; below 0 the two are closer than equal datasets would be."""
        return None if self.result.statistics is None else self.result.statistics.bias_corrected_bins

    @property
    def ci(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of `bias_corrected`, in bins."""
        statistics = self.result.statistics
        return None if statistics is None else (statistics.ci_low_bins, statistics.ci_high_bins)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Assumptions of the test that these images may violate; empty where there is none."""
        return tuple(map(str, self.result.caveats))

    @property
    def reason_not_tested(self) -> str | None:
        """Why nothing was tested; None where something was."""
        return str(self.result.not_tested) if self.result.not_tested else None

    @property
    def sampling_unit(self) -> str:
        """What the test takes for independent: images, or groups."""
        return self.result.sampling_unit

    @property
    def n_changed(self) -> int:
        """Neurons that changed, at a 5 % chance of any false one; 0 where the result is not significant."""
        return self.result.statistics.n_changed if self.result.statistics else 0

    @property
    def n_permutations(self) -> int:
        """Permutations behind `p_value`; 0 where nothing was tested."""
        return self.result.statistics.n_permutations if self.result.statistics else 0

    @property
    def layers(self) -> Table:
        """Layer by layer: the distance, its null mean (bins), and p corrected for all layers."""
        rows = self.result.statistics.layers if self.result.statistics else ()
        return Table.of(
            (
                {
                    "layer": row.layer,
                    "n_neurons": row.n_neurons,
                    "emd_bins": row.emd_bins,
                    "null_mean_bins": row.null_mean_bins,
                    "p": row.p,
                }
                for row in rows
            ),
            ("layer", "n_neurons", "emd_bins", "null_mean_bins", "p"),
        )

    @property
    def table(self) -> Table:
        """The same as `layers`."""
        return self.layers

    @property
    def summary(self) -> str:
        """The result in words."""
        lines = [self.result.summary]
        if self.ci is not None:
            low, high = self.ci
            lines[0] += f"; bias-corrected distance {self.bias_corrected:.3g} bins (95 % CI {low:.3g} to {high:.3g})"
        return "\n".join([*lines, *(f"assumptions may be violated: {caveat}" for caveat in self.caveats)])

    def _json(self) -> Any:
        return self.result.to_json()

    def __bool__(self) -> bool:
        """Whether it is significant, so that `if a.test(b):` reads as it is meant."""
        return bool(self.significant)
