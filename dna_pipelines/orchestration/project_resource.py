"""The project resource: the project that assets work on, where they show progress, and where they record results."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from dna_pipelines.project.progress import Advance, Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.listing import Listing
from dna_pipelines.update.recorder import Recorder


class LoggedProgress:
    """Shows progress as a log line for every tenth that is done."""

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
    """The resource that assets get.

    Attributes:
        project: the project.
        progress: shows progress; the run's log where None.
        recorder: holds the results of the assets, for the report of a run in this process.
        listings: by dataset, the listings of locations that this run has made already. A step removes the one it uses.
    """

    project: ProjectFolder
    progress: Progress | None = None
    recorder: Recorder = field(default_factory=Recorder)
    listings: dict[str, Listing] = field(default_factory=dict)

    def shown(self, context: dg.AssetExecutionContext) -> Progress:
        """Where a step shows its progress."""
        return self.progress or LoggedProgress(context.log)


InjectedProject = dg.ResourceParam[ProjectResource]
"""The type of a parameter `project_resource`, into which Dagster puts the resource."""
