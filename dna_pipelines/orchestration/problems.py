"""What went wrong in a run of Dagster, in the words of the errors where they are ours."""

from collections.abc import Iterator, Sequence

import dagster as dg

from dna_pipelines.errors import Interrupted, SourceChanged
from dna_pipelines.orchestration.attempts import FAILED, KIND, WHAT, unexpected
from dna_pipelines.orchestration.dagster_private import is_failed_check
from dna_pipelines.orchestration.describe import plain
from dna_pipelines.orchestration.keys import op_name
from dna_pipelines.project.problem import Problem


def problem_of(
    result: dg.ExecuteInProcessResult, keys: Sequence[dg.AssetKey], partition: str | None = None
) -> Problem | None:
    """All failures of a run (of one dataset) in one, each said once.

    None if all went well, another dataset failed, or checks alone did: what those withhold is asked of the lake, see
    `plan.held_back`.

    Raises:
        Interrupted: when that is what happened.
    """
    if result.success:
        return None
    failures = [event for event in result.all_events if event.is_step_failure]
    assets = {op_name(key): key.to_user_string() for key in keys}
    found = [problem for event in failures for problem in _of_step(event, assets, partition, result.run_id)]
    if not failures:
        return Problem(f"run {result.run_id} failed; `dna ui` shows why")
    said = dict.fromkeys(problem.said for problem in found)
    changed = any(problem.kind == "source changed" for problem in found)
    return Problem("\n".join(said), "source changed" if changed else "failed") if said else None


def _of_step(event: dg.DagsterEvent, assets: dict[str, str], partition: str | None, run_id: str) -> Iterator[Problem]:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        facts = plain(failure.user_failure_data.metadata)
        if facts.get(KIND) == Interrupted.__name__:
            raise Interrupted(failure.user_failure_data.description)
        if FAILED not in facts:
            yield _told(facts.get(KIND, ""), failure.user_failure_data.description)
        elif one := facts[FAILED].get(partition):
            yield _told(one[KIND], one[WHAT])
    elif failure.error and not is_failed_check(failure.error):
        said = (failure.error.cause or failure.error).message
        yield Problem(unexpected(said, assets.get(event.step_key or "", ""), run_id))
    elif not failure.error:
        yield Problem(f"run {run_id} failed; `dna ui` shows why")


def _told(error: str, what: str) -> Problem:
    """What a step says that failed with one of our errors, by the class of that."""
    return Problem(what, "source changed" if error == SourceChanged.__name__ else "failed")
