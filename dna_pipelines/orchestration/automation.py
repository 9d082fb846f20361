"""The automation condition that keeps a project current: it asks the lake, and does not wait for events.

Conditions that fire on events lose those that arrive between a request and its run, or during the run. This one
compares the contents of the lake with what they should be at every tick. Whatever was missed, crashed or interrupted
is still out of date at the next tick.
"""

import platform
from collections.abc import Mapping

import dagster as dg

from dna_pipelines.errors import DnaError
from dna_pipelines.orchestration.dagster_private import without_requested_partitions
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.orphaned_runs import HOST
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.attempts import ALL
from dna_pipelines.update.staleness import Needs, needs

TICK_S = 5
"""Seconds between two evaluations."""

FEW = 8
"""Up to this many datasets of an asset are requested one by one, a run at every tick. More of them become a backfill:
Dagster starts and ends it within a minute, and it needs far fewer processes."""


class Upkeep:
    """Which assets are out of date, determined once per tick for all of them."""

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project
        self._asked: tuple[object, Needs] | None = None

    def due(self, key: dg.AssetKey, tick: object) -> Mapping[str, str]:
        """The partitions of an asset that are out of date and may be tried now, each with the id of its input.

        The lake is read again whenever `tick` is another object.
        """
        if self._asked is None or self._asked[0] is not tick:
            self._asked = (tick, needs(self._project))
        all_needs, retries = self._asked[1], self._project.lake.attempts
        extractor, name = ("", "manifest") if key == MANIFEST else key.path
        if name == "matrix" and extractor in all_needs.distances and not self.due(key_of(extractor, "distances"), tick):
            # The run that compares the pairs draws it too.
            return {}
        stale = _stale(all_needs, extractor, name)
        return {
            partition: input_id
            for partition, input_id in stale.items()
            if retries.may_try(key.to_user_string(), partition, input_id)
        }

    def ask(self, key: dg.AssetKey, due: Mapping[str, str]) -> None:
        """Record a request, which counts as a try."""
        for partition, input_id in due.items():
            self._project.lake.attempts.ask(key.to_user_string(), partition, input_id)


class OutOfDate(dg.AutomationCondition):
    """True for partitions that are out of date and that no run in progress computes. Dagster then requests them."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    @property
    def description(self) -> str:
        """Shown in the evaluation of every tick."""
        return "Out of date with the lake, not being computed, and due for an attempt."

    async def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:  # type: ignore[override]
        """Ask the lake what is out of date, and Dagster what is being computed."""
        key, view = context.candidate_subset.key, context.asset_graph_view
        try:
            # One view serves all assets of a tick; evaluation ids need not differ from tick to tick.
            due = self._upkeep.due(key, view)
        except DnaError as error:
            # A datasets file that cannot be read now does not stop the other assets of the tick.
            context.log.warning(str(error))
            due = {}
        if not due:
            return dg.AutomationResult(context, context.get_empty_subset())
        subset = context.candidate_subset
        if ALL not in due:
            known = {name for name in view.instance.get_dynamic_partitions(DATASETS.name or "") if name in due}
            subset = subset.compute_intersection(view.get_subset_from_partition_keys(key, DATASETS, known))
        subset = await without_requested_partitions(view, key, subset)
        asked = due
        if ALL not in due:
            names = sorted(subset.expensively_compute_partition_keys())
            if len(names) <= FEW:
                names = names[:1]
                subset = view.get_subset_from_partition_keys(key, DATASETS, set(names))
            asked = {name: due[name] for name in names}
        if not subset.is_empty:
            try:
                self._upkeep.ask(key, asked)
            except DnaError as error:
                # If the lake cannot store this record, it cannot store the results either.
                context.log.warning(str(error))
                subset = context.get_empty_subset()
        return dg.AutomationResult(context, subset)


automation_sensor = dg.AutomationConditionSensorDefinition(
    "keep_current",
    target=dg.AssetSelection.all(),
    use_user_code_server=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=TICK_S,
    run_tags={HOST: platform.node()},
    description="Launches a run for every dataset and asset that is not up to date with the lake.",
)


def _stale(all_needs: Needs, extractor: str, name: str) -> Mapping[str, str]:
    if name == "manifest":
        return all_needs.manifests
    if name == "dna":
        return all_needs.dnas.get(extractor, {})
    by_name = {"ranges": all_needs.ranges, "distances": all_needs.distances, "matrix": all_needs.matrix}
    input_id = by_name[name].get(extractor)
    return {ALL: input_id} if input_id else {}
