"""What keeps everything current: a condition that asks the lake, and not for events.

Conditions that fire on events lose those that come between a request and its run, or while the run
is under way. This one compares, at every tick, what is in the lake with what should be. Whatever
was missed, crashed or interrupted is simply still lacking.
"""

import platform
from collections.abc import Mapping

import dagster as dg

from dna_pipelines.errors import DnaError
from dna_pipelines.orchestration.dagster_private import without_what_is_under_way
from dna_pipelines.orchestration.keys import MANIFEST, key_of
from dna_pipelines.orchestration.orphaned_runs import HOST
from dna_pipelines.orchestration.partitions import DATASETS
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.attempts import ALL
from dna_pipelines.update.staleness import Needs, needs

TICK_S = 5
"""Seconds between two looks at the lake."""

FEW = 8
"""So many datasets of an asset are asked for one by one, a run at every tick. More of them become a backfill,
which Dagster begins and ends within a minute, and which spares most of their processes."""


class Upkeep:
    """What is lacking, asked once per tick for all assets."""

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project
        self._asked: tuple[object, Needs] | None = None

    def due(self, key: dg.AssetKey, tick: object) -> Mapping[str, str]:
        """The partitions of an asset that lack something and may be tried now, and what they lack.

        The lake is asked again whenever `tick` is another object.
        """
        if self._asked is None or self._asked[0] is not tick:
            self._asked = (tick, needs(self._project))
        found, notes = self._asked[1], self._project.lake.attempts
        extractor, name = ("", "manifest") if key == MANIFEST else key.path
        if name == "matrix" and extractor in found.distances and not self.due(key_of(extractor, "distances"), tick):
            # It is drawn in the run that compares the pairs, or not yet.
            return {}
        lacking = _lacking(found, extractor, name)
        return {
            partition: input_id
            for partition, input_id in lacking.items()
            if notes.may_try(key.to_user_string(), partition, input_id)
        }

    def ask(self, key: dg.AssetKey, due: Mapping[str, str]) -> None:
        """Note what is asked for."""
        for partition, input_id in due.items():
            self._project.lake.attempts.ask(key.to_user_string(), partition, input_id)


class Lacking(dg.AutomationCondition):
    """True for what is not up to date with the lake, unless that is under way. What it is true for is asked for."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    @property
    def description(self) -> str:
        """Shown in the evaluation of every tick."""
        return "not up to date with the lake, not under way, and it is time for a try"

    async def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:  # type: ignore[override]
        """Ask the lake, and Dagster what is under way."""
        key, view = context.candidate_subset.key, context.asset_graph_view
        try:
            # One view serves all assets of a tick; evaluation ids need not differ from tick to tick.
            due = self._upkeep.due(key, view)
        except DnaError as error:
            # A datasets file that cannot be read now is no reason to stop the others of the tick.
            context.log.warning(str(error))
            due = {}
        if not due:
            return dg.AutomationResult(context, context.get_empty_subset())
        subset = context.candidate_subset
        if ALL not in due:
            known = {name for name in view.instance.get_dynamic_partitions(DATASETS.name or "") if name in due}
            subset = subset.compute_intersection(view.get_subset_from_partition_keys(key, DATASETS, known))
        subset = await without_what_is_under_way(view, key, subset)
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
                # A lake that takes no note would not take the results either.
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
    description="Launches runs for whatever in the lake is not up to date.",
)


def _lacking(found: Needs, extractor: str, name: str) -> Mapping[str, str]:
    if name == "manifest":
        return found.manifests
    if name == "dna":
        return found.dnas.get(extractor, {})
    input_id = {"ranges": found.ranges, "distances": found.distances, "matrix": found.matrix}[name].get(extractor)
    return {ALL: input_id} if input_id else {}
