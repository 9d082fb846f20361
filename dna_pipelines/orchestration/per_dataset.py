"""Assets with one partition per dataset, materialized by runs of one dataset or of many."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dna_pipelines.orchestration.checks import CheckKind, check_evaluations, check_results, check_specs
from dna_pipelines.orchestration.describe import Metadata
from dna_pipelines.orchestration.keys import CODE_VERSION, DATA_VERSION, op_name
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.orchestration.project_resource import InjectedProject, ProjectResource
from dna_pipelines.orchestration.provenance import input_tags
from dna_pipelines.orchestration.steps import unexpected
from dna_pipelines.project.checks import Check, blocked
from dna_pipelines.project.problem import Problem

MOST_OF_A_RUN = 20
"""Most datasets of one run. A run costs time: seconds in a process of its own, which imports torch, and a third of a
second in this process."""

BATCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=MOST_OF_A_RUN)


@dataclass(frozen=True)
class Made:
    """The result of a step for one dataset."""

    metadata: Metadata
    data_version: str
    checks: Sequence[Check]


Make = Callable[[dg.AssetExecutionContext, ProjectResource, str], Made]


def asset_per_dataset(
    key: dg.AssetKey, make: Make, checks: Mapping[str, CheckKind], **spec: Any
) -> dg.AssetsDefinition:
    """An asset that `make` brings up to date dataset by dataset; its docstring is the description in Dagster.

    Args:
        key: of the asset.
        make: does the work for one dataset, and raises `dagster.Failure` where it cannot.
        checks: the checks that it reports, by name.
        spec: `pool`, and what `dagster.AssetSpec` takes.
    """

    @dg.multi_asset(
        name=op_name(key),
        specs=[dg.AssetSpec(key, description=inspect.getdoc(make), skippable=True, **_without_pool(spec))],
        partitions_def=DATASETS,
        check_specs=check_specs(key, checks),
        backfill_policy=BATCH,
        pool=spec.get("pool"),
        # A batch writes its events itself and yields nothing.
        can_subset=True,
    )
    def made(context: dg.AssetExecutionContext, project_resource: InjectedProject) -> Iterator[dg.MaterializeResult]:
        names = context.partition_keys
        if len(names) > 1:
            _make_all(context, project_resource, make, names)
            return
        done = make(context, project_resource, names[0])
        yield dg.MaterializeResult(
            key,
            metadata=done.metadata,
            data_version=dg.DataVersion(done.data_version),
            check_results=check_results(key, done.checks),
        )

    return made


def _make_all(
    context: dg.AssetExecutionContext, project_resource: ProjectResource, make: Make, names: Sequence[str]
) -> None:
    """Make a batch: a dataset that fails stops no other, and the run fails after the last one."""
    problems: dict[str, Problem] = {}
    for name in names:
        # Read before: an event during the step is not an input of it.
        read = input_tags(context, name)
        done = _make_one(context, project_resource, make, name)
        if isinstance(done, Problem):
            problems[name] = done
            continue
        _log_made(context, name, done, read)
        if reason := blocked(list(done.checks)):
            problems[name] = Problem.blocked(reason, dataset=name)
    if problems:
        codes = {name: {"code": problem.code, "message": problem.message} for name, problem in problems.items()}
        raise dg.Failure(
            "\n".join(f"{name}: {problem.message}" for name, problem in problems.items()),
            metadata={"n_datasets": len(names), "problems": dg.MetadataValue.json(codes)},
        )


def _make_one(
    context: dg.AssetExecutionContext, project_resource: ProjectResource, make: Make, name: str
) -> Made | Problem:
    """Make one dataset of a batch; only an interruption is raised."""
    recorder, asset = project_resource.recorder, context.asset_key.to_user_string()
    try:
        return make(context, project_resource, name)
    except dg.Failure as failure:
        if recorder.interrupted:
            raise
        return recorder.problems.get((asset, name)) or Problem("dagster.run-failed", failure.description or "")
    except Exception as error:
        context.log.exception(name)
        problem = unexpected(f"{type(error).__name__}: {error}", asset, context.run.run_id)
        recorder.fail(asset, name, problem)
        return problem


def _log_made(context: dg.AssetExecutionContext, name: str, done: Made, read: Mapping[str, str]) -> None:
    """Log the events of one dataset of a batch; one result of Dagster has the same data version for all datasets."""
    key = context.asset_key
    code_version = context.assets_def.code_versions_by_key.get(key) or ""
    tags = {DATA_VERSION: done.data_version, CODE_VERSION: code_version, **read}
    context.log_event(dg.AssetMaterialization(key, partition=name, metadata=done.metadata, tags=tags))
    for evaluation in check_evaluations(key, name, done.checks):
        context.log_event(evaluation)


def _without_pool(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "pool"}
