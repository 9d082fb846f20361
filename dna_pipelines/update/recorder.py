"""The results of the steps of a run in this process, as typed values: the report of the run is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dna_pipelines.errors import Interrupted
from dna_pipelines.project.problem import Problem
from dna_pipelines.update.report import FingerprintReport, IngestReport, PairsReport


@dataclass
class Recorder:
    """Where steps put what they made, and what went wrong. The last result of the same step replaces earlier ones."""

    ingested: dict[str, IngestReport] = field(default_factory=dict)
    """By dataset."""
    measured_ranges: dict[str, bool] = field(default_factory=dict)
    """By extractor that has activation ranges: whether they were measured (or read from a file) in this run."""
    fitted: dict[tuple[str, str], FingerprintReport] = field(default_factory=dict)
    """By extractor and dataset."""
    pairs: dict[str, PairsReport] = field(default_factory=dict)
    """By extractor."""
    problems: dict[tuple[str, str], Problem] = field(default_factory=dict)
    """By asset and partition (`storage.attempts.ALL` where an asset has none), of the last attempt."""
    interrupted: Interrupted | None = None

    def begin(self, asset: str, partition: str) -> None:
        """A step begins, so its earlier problem no longer counts."""
        self.problems.pop((asset, partition), None)

    def fail(self, asset: str, partition: str, problem: Problem) -> None:
        """A step failed."""
        self.problems[asset, partition] = problem

    def take_problems(self, assets: Iterable[str], partition: str) -> list[Problem]:
        """The problems of some assets of a partition; they are removed from the recorder."""
        return [problem for asset in assets if (problem := self.problems.pop((asset, partition), None))]
