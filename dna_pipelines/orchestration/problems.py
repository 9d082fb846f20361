"""The problems of a run in this process."""

from collections.abc import Iterator, Sequence

import dagster as dg

from dna_pipelines.orchestration.dagster_private import is_failed_check
from dna_pipelines.orchestration.keys import op_name
from dna_pipelines.orchestration.steps import unexpected
from dna_pipelines.project.problem import Problem
from dna_pipelines.storage.attempts import ALL
from dna_pipelines.update.recorder import Recorder


def problem_of(
    result: dg.ExecuteInProcessResult, recorder: Recorder, keys: Sequence[dg.AssetKey], partition: str = ALL
) -> Problem | None:
    """All problems of a run (of one dataset) as one problem.

    None if the run succeeded, if other datasets failed, or if only checks failed: `plan.blocked_problem` finds in the
    lake what checks block.

    Raises:
        Interrupted: when the run was interrupted.
    """
    if recorder.interrupted:
        raise recorder.interrupted
    if result.success:
        return None
    recorded = recorder.take_problems([key.to_user_string() for key in keys], partition)
    return Problem.joined([*recorded, *_unrecorded(result, keys)])


def _unrecorded(result: dg.ExecuteInProcessResult, keys: Sequence[dg.AssetKey]) -> Iterator[Problem]:
    """Failures that are no `dagster.Failure`: every one of those comes from a step that recorded its problems."""
    failures = [event for event in result.all_events if event.is_step_failure]
    assets = {op_name(key): key.to_user_string() for key in keys}
    for event in failures:
        failure = event.step_failure_data
        if failure.error and not failure.user_failure_data and not is_failed_check(failure.error):
            error = (failure.error.cause or failure.error).message
            yield unexpected(error, assets.get(event.step_key or "", ""), result.run_id)
    if not failures or any(not event.step_failure_data.error for event in failures):
        message = f"run {result.run_id} failed; `dna ui` shows why"
        yield Problem("dagster.run-failed", message, {"run": result.run_id})
