"""Assets with one partition per dataset, made by runs of one dataset or of many."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dna_pipelines.errors import Interrupted
from dna_pipelines.orchestration.attempts import FAILED, KIND, WHAT, kind_of, unexpected
from dna_pipelines.orchestration.checks import CheckKind, check_evaluations, check_results, check_specs
from dna_pipelines.orchestration.describe import Metadata
from dna_pipelines.orchestration.keys import op_name
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.orchestration.project_resource import InjectedProject, ProjectResource
from dna_pipelines.orchestration.provenance import input_tags
from dna_pipelines.project.checks import Check, blocked

MOST_OF_A_RUN = 20
"""Datasets that share a run: a process of its own, which imports torch, takes seconds, and one here a third of one."""

BATCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=MOST_OF_A_RUN)


@dataclass(frozen=True)
class Made:
    """What came of one dataset."""

    metadata: Metadata
    data_version: str
    checks: Sequence[Check]


Make = Callable[[dg.AssetExecutionContext, ProjectResource, str], Made]


def asset_per_dataset(
    key: dg.AssetKey, make: Make, checks: Mapping[str, CheckKind], **spec: Any
) -> dg.AssetsDefinition:
    """An asset that `make` brings up to date dataset by dataset; its docstring is what people read of it.

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
    """A batch: one dataset that fails holds back no other, and fails the run when all have had their turn.

    One result of Dagster's would give all of them the same data version.
    """
    key, failed, blocked_ones = context.asset_key, {}, []
    code_version = context.assets_def.code_versions_by_key.get(key)
    for name in names:
        # What comes while it is made is not what it was made from.
        read = input_tags(context, name)
        try:
            done = make(context, project_resource, name)
        except dg.Failure as failure:
            kind = kind_of(failure)
            if kind == Interrupted.__name__:
                raise
            failed[name] = {KIND: kind, WHAT: failure.description}
            continue
        except Exception as error:
            context.log.exception(name)
            failed[name] = {
                KIND: type(error).__name__,
                WHAT: unexpected(f"{type(error).__name__}: {error}", key.to_user_string(), context.run.run_id),
            }
            continue
        tags = {"dagster/data_version": done.data_version, "dagster/code_version": code_version or "", **read}
        context.log_event(dg.AssetMaterialization(key, partition=name, metadata=done.metadata, tags=tags))
        for evaluation in check_evaluations(key, name, done.checks):
            context.log_event(evaluation)
        if withheld := blocked(list(done.checks)):
            blocked_ones.append(f"{name}: {withheld}")
    if failed or blocked_ones:
        said = [*(f"{name}: {one[WHAT]}" for name, one in failed.items()), *blocked_ones]
        raise dg.Failure("\n".join(said), metadata={"n_datasets": len(names), FAILED: dg.MetadataValue.json(failed)})


def _without_pool(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "pool"}
