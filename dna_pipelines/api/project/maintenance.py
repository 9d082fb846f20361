"""The methods of a project about its lake and its surroundings: examining and pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dna_pipelines.api.arguments import number
from dna_pipelines.api.door import checked
from dna_pipelines.errors import UserError
from dna_pipelines.project.project import ProjectFolder

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.results.maintenance import DoctorResult, PruneResult
    from dna_pipelines.maintenance.doctor import Finding


class MaintenanceMethods:
    """See `Project`."""

    folder: ProjectFolder

    @checked
    def doctor(self, *, pages: bool = False, on_finding: Callable[[Finding], None] | None = None) -> DoctorResult:
        """Examine the installation, the datasets file, every location and the lake. Nothing is changed.

        Args:
            pages: also verify every byte of the lake by its checksums, which can take long.
            on_finding: is called with each finding at once.
        """
        from dna_pipelines.api.results.maintenance import DoctorResult
        from dna_pipelines.maintenance.doctor import examine

        findings = []
        for finding in examine(self.folder, pages=pages):
            findings.append(finding)
            if on_finding:
                on_finding(finding)
        return DoctorResult(tuple(findings))

    @checked
    def prune(self, keep: int | None = None, *, dry_run: bool = False) -> PruneResult:
        """Remove old versions of all datasets, and the files that no kept version needs.

        Commits, distances between layers and test results are kept. A pruned version can no longer be compared.

        Args:
            keep: how many versions of each dataset to keep, at least 2; by default `keep_versions` of the datasets
                file.
            dry_run: remove nothing, and say what would be.

        Raises:
            UserError: when neither says how many (`cli.keep-missing`), or it is no such number (`api.argument`,
                `api.settings`).
        """
        from dna_pipelines.api.results.maintenance import PruneResult
        from dna_pipelines.maintenance.prune import FEWEST, carry_out, plan_pruning

        keep = self.folder.config().keep_versions if keep is None else number("keep", keep, at_least=FEWEST)
        if keep is None:
            raise UserError(
                f"set the number of versions to keep: keep= (--keep N), or keep_versions: N in {self.folder.file.path}",
                code="cli.keep-missing",
                path=str(self.folder.file.path),
            )
        plan = plan_pruning(self.folder, keep)
        return PruneResult(plan if dry_run else carry_out(self.folder, plan), not dry_run)
