"""Dagster's web page, daemon and code server, for one project."""

import glob
import os
import sys

from dna_pipelines.errors import UserError
from dna_pipelines.orchestration.instance import open_instance, prepare_home
from dna_pipelines.orchestration.orphaned_runs import reap
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.process_group import run_together
from dna_pipelines.project.project import ProjectFolder


def serve(project: ProjectFolder, host: str, port: int) -> int | None:
    """Serve the web page and keep the project current, until a signal ends it.

    Runs that it interrupts are requested again the next time.

    Returns:
        The number of the signal; None if Dagster ended by itself.

    Raises:
        UserError: when the path of the project is a glob pattern to Dagster (`dagster.home-pattern`).
    """
    home = prepare_home(project)
    if glob.escape(str(home)) != str(home):
        raise UserError(
            f"Dagster's daemon cannot read its settings in {home}, because the path contains * or [; rename the "
            "folder, or keep the project current with `dna run` instead, which can",
            code="dagster.home-pattern",
            path=str(home),
        )
    with open_instance(project) as instance:
        reap(instance)
        sync_partitions(instance, project)
    # `dg dev`, which supersedes `dagster dev`, needs a project in a layout of its own.
    quiet = {"PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"}
    environment = {**quiet, **os.environ, "DAGSTER_HOME": str(home), "DNA_ROOT": str(project.root)}
    command = [sys.executable, "-m", "dagster", "dev", "-m", "dna_pipelines.definitions", "-h", host, "-p", str(port)]
    return run_together(command, environment)
