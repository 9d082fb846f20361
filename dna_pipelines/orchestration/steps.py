"""Every step of an asset: recorded in the lake while it runs, and its errors turned into failures of Dagster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from dna_pipelines.errors import ConfigError, DnaError, Interrupted, LakeError
from dna_pipelines.orchestration.orphaned_runs import name_process
from dna_pipelines.orchestration.project_resource import ProjectResource
from dna_pipelines.project.problem import Problem
from dna_pipelines.storage.attempts import ALL

CODE = "code"
"""The metadata entry of a failure that holds the error's code."""


def unexpected(error: str, asset: str, run_id: str) -> Problem:
    """The problem of a step that failed with an error that is a defect."""
    message = f"{asset}: {error.strip()} (unexpected; `dna ui` shows the stack trace of run {run_id})"
    return Problem("dagster.unexpected", message, {"asset": asset, "error": error.strip(), "run": run_id})


@contextmanager
def step(
    context: dg.AssetExecutionContext,
    project_resource: ProjectResource,
    find_input: Callable[[], str],
    partition: str = ALL,
) -> Iterator[str]:
    """Bring an asset up to date with an input, whose id is what `find_input` returns.

    `find_input` is called inside the step, because it may fail as the step may.

    Errors of this package are recorded, and become Dagster failures without a stack trace that say what to do. The
    record of a step that is killed stays in the lake, and limits how often the step is retried.
    """
    project, recorder = project_resource.project, project_resource.recorder
    retries, asset = project.lake.attempts, context.asset_key.to_user_string()
    recorder.begin(asset, partition)
    try:
        project.lake.prepare()
        input_id = find_input()
        retries.begin(asset, partition, input_id)
        name_process(context.instance, context.run.run_id)
        yield input_id
        retries.forget(asset, partition)
    except DnaError as error:
        if isinstance(error, ConfigError | Interrupted):
            # The input is not at fault. While the datasets file is wrong nothing is requested; then everything at once.
            retries.forget(asset, partition)
        else:
            with suppress(LakeError):
                retries.fail(asset, partition, str(error))
        recorder.interrupted = error if isinstance(error, Interrupted) else recorder.interrupted
        recorder.fail(asset, partition, Problem.of(error))
        raise dg.Failure(str(error), metadata={CODE: error.code}) from None
    except Exception as error:
        retries.fail(asset, partition, f"{type(error).__name__}: {error}")
        raise
