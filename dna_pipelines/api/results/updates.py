"""Results of bringing a project up to date: what was done, and what would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.maintenance.prune import PruningPlan
from dna_pipelines.manifests.diff import in_words
from dna_pipelines.project.problem import problem_json
from dna_pipelines.project.progress import counted
from dna_pipelines.update.forecast import Forecast
from dna_pipelines.update.report import RunReport


@dataclass(frozen=True, eq=False, repr=False)
class UpdateReport(Result):
    """What `Project.update` did.

    Attributes:
        report: the full report of the run.
        pruned: what was removed because of `keep_versions` in the datasets file; None where nothing was.
    """

    report: RunReport
    pruned: PruningPlan | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is up to date now."""
        return not self.report.failed and not self.report.problems

    @property
    def problems(self) -> dict[str, str]:
        """By dataset, why it is not up to date; under `""` what went wrong besides single datasets."""
        problems = {dataset.dataset: str(dataset.problem) for dataset in self.report.failed}
        return problems | ({"": "\n".join(map(str, self.report.problems))} if self.report.problems else {})

    @property
    def n_images_extracted(self) -> int:
        """Images that went through a network, over all datasets and extractors."""
        return sum(dataset.n_images_extracted for dataset in self.report.datasets)

    @property
    def n_quarantined(self) -> int:
        """Files that are quarantined, over all datasets; `project.sql("FROM quarantine")` lists them."""
        return sum(dataset.n_quarantined for dataset in self.report.datasets)

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return self.report.duration_s

    @property
    def table(self) -> Table:
        """A dataset a row: `n_images`, `n_quarantined`, `n_images_extracted`, `why`, `problem`."""
        columns = ("dataset", "state", "n_images", "n_quarantined", "n_images_extracted", "n_shards", "why", "problem")
        return Table(
            columns,
            tuple(
                (
                    one.dataset, one.state, one.n_images, one.n_quarantined, one.n_images_extracted, one.n_shards,
                    one.why, str(one.problem) if one.problem else None,
                )
                for one in self.report.datasets
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """Whether everything is up to date."""
        state = "everything is up to date" if self.ok else "not everything is up to date"
        return f"{state} ({counted(self.n_images_extracted, 'image')} extracted, {self.duration_s:.1f} s)"

    def _json(self) -> Any:
        return self.report.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class ForecastResult(Result):
    """What `Project.update` would do, and about how long it would take.

    Attributes:
        forecast: the full forecast.
    """

    forecast: Forecast

    @property
    def table(self) -> Table:
        """A dataset a row: `state`, `n_images`, `n_to_extract`, `extraction_s` (None before the first extraction)."""
        columns = ("dataset", "state", "n_images", "n_to_extract", "extraction_s", "changes", "problem")
        return Table(
            columns,
            tuple(
                (
                    one.name, one.state, one.n_images, sum(one.n_to_extract.values()), one.extraction_s,
                    in_words(one.changes) or one.occasion, str(one.problem) if one.problem else None,
                )
                for one in self.forecast.datasets
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """How many images would be extracted."""
        n_images = sum(sum(one.n_to_extract.values()) for one in self.forecast.datasets)
        return f"{counted(n_images, 'image')} to extract; nothing was computed or stored"

    def _json(self) -> Any:
        return [vars(one) | problem_json(one.problem) for one in self.forecast.datasets]
