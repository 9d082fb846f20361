"""Every step is an attempt, noted in the lake: failures are told to people, and repeated with patience."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from dna_pipelines.errors import ConfigError, DnaError, Interrupted, LakeError
from dna_pipelines.orchestration.orphaned_runs import name_process
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.attempts import ALL

KIND = "kind"
"""The metadata entry of a failure that names the error's class."""

FAILED, WHAT = "failed", "what"
"""The entry of a batch's failure: by dataset, the kind of its failure and what it says."""


def kind_of(failure: dg.Failure) -> str:
    """The class of the error behind a failure; empty where it is none of this package's."""
    return str(failure.metadata[KIND].value) if KIND in failure.metadata else ""


def unexpected(error: str, asset: str, run_id: str) -> str:
    """What people are told of a failure that is a defect, in the making of an asset."""
    return f"{asset}: {error.strip()} (unexpected; `dna ui` shows the stack trace of run {run_id})"


@contextmanager
def attempt(
    context: dg.AssetExecutionContext, project: ProjectFolder, find_input: Callable[[], str], partition: str = ALL
) -> Iterator[str]:
    """Bring an asset up to date with an input, whose id is what `find_input` returns.

    That is asked for inside, because it may fail like everything else.

    This package's errors become Dagster failures that say what to do, without a stack trace. A step that
    is killed leaves its note behind, so that the next try is made, and not for ever.
    """
    notes, asset = project.lake.attempts, context.asset_key.to_user_string()
    try:
        project.lake.prepare()
        input_id = find_input()
        notes.begin(asset, partition, input_id)
        name_process(context.instance, context.run.run_id)
        yield input_id
        notes.forget(asset, partition)
    except (ConfigError, Interrupted) as error:
        # No fault of the work. While the datasets file is wrong nothing is asked for, and then everything at once.
        notes.forget(asset, partition)
        raise dg.Failure(str(error), metadata={KIND: type(error).__name__}) from None
    except DnaError as error:
        with suppress(LakeError):
            notes.fail(asset, partition, str(error))
        raise dg.Failure(str(error), metadata={KIND: type(error).__name__}) from None
    except Exception as error:
        notes.fail(asset, partition, f"{type(error).__name__}: {error}")
        raise
