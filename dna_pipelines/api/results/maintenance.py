"""Results of maintaining a project: what works, and what was pruned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.maintenance.doctor import Finding
from dna_pipelines.maintenance.prune import PruningPlan
from dna_pipelines.project.progress import counted


@dataclass(frozen=True, eq=False, repr=False)
class DoctorResult(Result):
    """What an examination of the installation, the datasets file, every location and the lake found.

    Attributes:
        findings: one for each part that was examined.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything works."""
        return all(finding.ok for finding in self.findings)

    @property
    def problems(self) -> dict[str, str]:
        """By what was examined, what is wrong with it and what to do; empty where everything works."""
        return {finding.what: finding.message for finding in self.findings if not finding.ok}

    @property
    def table(self) -> Table:
        """A finding a row: `ok`, `what` and `message`."""
        return Table.of(self._json(), ("ok", "what", "message"))

    @property
    def summary(self) -> str:
        """How many parts have a problem."""
        return f"{len(self.problems) or 'none'} of {counted(len(self.findings), 'examined part')} with a problem"

    def _json(self) -> Any:
        return [{"ok": finding.ok, "what": finding.what, "message": finding.message} for finding in self.findings]


@dataclass(frozen=True, eq=False, repr=False)
class PruneResult(Result):
    """What pruning removed, or would remove.

    Attributes:
        plan: the versions and files.
        removed: whether they were removed; False after a dry run.
    """

    plan: PruningPlan
    removed: bool

    @property
    def n_bytes(self) -> int:
        """The size of the files."""
        return self.plan.n_bytes

    @property
    def table(self) -> Table:
        """A dataset a row, with its `versions pruned`; only those of which some are."""
        return Table(("dataset", "versions pruned"), tuple(self.plan.n_versions.items()))

    @property
    def summary(self) -> str:
        """What it is, in words."""
        return f"{'removed' if self.removed else 'would remove'} {self.plan}"

    def _json(self) -> Any:
        return {
            "n_versions": self.plan.n_versions,
            "n_removed": dict(self.plan.n_removed),
            "n_bytes": self.plan.n_bytes,
        }
