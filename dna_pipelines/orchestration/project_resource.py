"""The one resource: the project that assets work on, and where they show progress."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from dna_pipelines.project.progress import Advance, Progress
from dna_pipelines.project.project import ProjectFolder


class LoggedProgress:
    """Shows progress as a log line for every tenth done."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        """Log the beginning and every tenth."""
        done = tenths = 0

        def advance(steps: int) -> None:
            nonlocal done, tenths
            done += steps
            if total and done * 10 // total > tenths:
                tenths = done * 10 // total
                self._log.info("%s: %d of %d", description, done, total)

        if total:
            self._log.info("%s: %d to do", description, total)
        yield advance


@dataclass(frozen=True)
class ProjectResource:
    """What assets are given."""

    project: ProjectFolder
    progress: Progress | None = None
    """Where progress is shown; the run's log where None."""

    def shown(self, context: dg.AssetExecutionContext) -> Progress:
        """Where a step shows its progress."""
        return self.progress or LoggedProgress(context.log)


InjectedProject = dg.ResourceParam[ProjectResource]
"""The type of a parameter `project_resource`, into which Dagster puts the resource."""
