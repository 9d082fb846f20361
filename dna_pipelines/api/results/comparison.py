"""The result of a comparison: distances layer by layer, their significance, and what is behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dna_pipelines import comparison as distances
from dna_pipelines.analysis.compare import PairComparison, significance_of
from dna_pipelines.analysis.significance.pair import N_PERMUTATIONS
from dna_pipelines.api.arguments import whole
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.api.results.explanation import Explanation, explain
from dna_pipelines.api.results.images import ImagesResult, top_images
from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.significance import TestResult
from dna_pipelines.api.results.tables import Table
from dna_pipelines.errors import UserError
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_PERMUTATIONS = 99


@dataclass(frozen=True, eq=False, repr=False)
class Distances(Result):
    """All distances between two fingerprints.

    Attributes:
        comparison: the distances of every neuron: `emd_bins` and `nfd`, both (n_neurons,).
        selection: the neurons that count, and their weights.
        facts: what `to_json` gives.
    """

    comparison: distances.Comparison
    selection: distances.Selection
    facts: Mapping[str, Any]

    @property
    def a(self) -> str:
        """The first side, as it was named."""
        return str(self.facts["a"])

    @property
    def b(self) -> str:
        """The second side, as it was named."""
        return str(self.facts["b"])

    @property
    def emd(self) -> float:
        """Earth mover's distance in bins, mean over the neurons that count; NaN without histograms on both sides."""
        return float(self.facts["emd_bins"])

    @property
    def emd_range(self) -> float:
        """The same as a fraction of the activation range."""
        return float(self.facts["emd_range"])

    @property
    def nfd(self) -> float:
        """Neuron-wise Fréchet distance in squared activation units, mean over the neurons that count."""
        return float(self.facts["nfd"])

    @property
    def fd(self) -> float | None:
        """Fréchet distance in squared activation units, mean over layers with a covariance; None without one."""
        return None if self.facts["fd"] is None else float(self.facts["fd"])

    @property
    def n_neurons(self) -> int:
        """Neurons that count and have a distance."""
        return int(self.facts["n_neurons"])

    @cached_property
    def layers(self) -> Table:
        """Layer by layer: `emd_bins`, `emd_range`, `nfd`, `fd`, and the neuron with the largest EMD."""
        return Table.of(self.facts["layers"])

    @property
    def table(self) -> Table:
        """The same as `layers`."""
        return self.layers

    @property
    def summary(self) -> str:
        """The distances over all neurons that count."""
        fd = "" if self.fd is None else f", FD {self.fd:.4g}"
        return (
            f"{self.a} against {self.b}: EMD {self.emd:.4g} bins ({self.emd_range:.3%} of the range), "
            f"NFD {self.nfd:.4g}{fd}, over {self.n_neurons:,} neurons"
        )

    def figure(self) -> Figure:
        """The EMD layer by layer, as a matplotlib Figure that notebooks show.

        Raises:
            UserError: when a side has no histograms (`api.no-histograms`).
        """
        if self.comparison.n_bins is None:
            raise UserError("the figure shows EMD, which takes histograms on both sides", code="api.no-histograms")
        from dna_pipelines.reporting.pictures import profile_figure

        return profile_figure(self.a, self.b, self.facts["layers"])

    def _json(self) -> Any:
        return dict(self.facts)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Distances):
    """Two datasets, versions or slices of a project, compared neuron by neuron.

    Attributes:
        folder: the project's folder.
        pair: the full comparison, with the images of both sides.
    """

    folder: ProjectFolder
    pair: PairComparison

    @property
    def extractor(self) -> str:
        """What both sides were measured with, as the datasets file calls it."""
        return self.pair.extractor

    @property
    def n_images_extracted(self) -> dict[str, int]:
        """By side, the images that this comparison extracted because a slice had no DNA yet; its DNA is stored."""
        return dict(self.pair.n_images_extracted)

    @property
    def blocked(self) -> dict[str, str]:
        """By side, the check that blocks it, so that the matrix leaves it out."""
        return {side: str(reason) for side, reason in self.pair.blocked.items()}

    @checked
    def test(self, n_permutations: int = N_PERMUTATIONS, *, progress: Shown = False) -> TestResult:
        """Test whether the distance is significant. The result is stored, so the same test is not run twice.

        Args:
            n_permutations: at least 99; more resolve smaller p-values.
            progress: True shows it; see `Project`.

        Raises:
            UserError: for fewer permutations (`api.permutations`).
        """
        require_permutations(n_permutations)

        def work(steps: Progress) -> TestResult:
            return TestResult(significance_of(self.folder, self.pair, n_permutations=n_permutations, progress=steps))

        return watched(work, progress)

    @checked
    def top_images(self, n: int = 10, *, in_detail: int | None = None, progress: Shown = False) -> ImagesResult:
        """The images of A that contribute most to the difference.

        Args:
            n: how many, at least 1.
            in_detail: how many to extract again, to see all their positions in every layer; by default 200.
            progress: True shows it; see `Project`.

        Raises:
            UserError: when `n` is no number of images (`api.argument`, `api.settings`).
            NothingToCompare: when A has no image that B has not.
        """
        return top_images(self.folder, self.a, self.b, self.extractor, n, in_detail, progress)

    def explain(self, test: TestResult | None = None, *, progress: Shown = False) -> Explanation:
        """What the difference consists of: in words (where neurons have names), layers, neurons and images.

        Args:
            test: the result of `test`; by default it is run.
            progress: True shows it; see `Project`.
        """
        return explain(self, self.test(progress=progress) if test is None else test, progress)


def require_permutations(n_permutations: object) -> int:
    """Refuse a number of permutations too small for a p-value.

    Raises:
        UserError: (`api.permutations`); when it is no number (`api.argument`).
    """
    given = whole("n_permutations", n_permutations)
    if given < FEWEST_PERMUTATIONS:
        raise UserError(
            f"{given} permutations resolve no p-value of 5 %; use at least {FEWEST_PERMUTATIONS}",
            code="api.permutations",
            n_permutations=given,
            fewest=FEWEST_PERMUTATIONS,
        )
    return given
