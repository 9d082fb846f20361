"""A daemon that ticks when a test calls it: conditions, registry and runs, headless."""

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from dna_pipelines.errors import ConfigError
from dna_pipelines.orchestration.build import build_defs
from dna_pipelines.orchestration.instance import open_instance
from dna_pipelines.orchestration.partitions import sync_partitions
from dna_pipelines.orchestration.scanning import raw_event
from dna_pipelines.update.staleness import scan

ALL_OF = [("toy/distances", None), ("toy/matrix", None)]
"""What follows any change of a DNA."""


class Daemon:
    """Evaluates the automation conditions of a project and runs what they ask for."""

    def __init__(self, project, instance, condition=None):
        self.project, self.instance, self.cursor, self._condition = project, instance, None, condition
        sync_partitions(instance, project)
        self._definitions = build_defs(project, condition)
        self._text = project.file.path.read_text()

    def definitions(self):
        """As a code server has them: loaded once, and again when the datasets file changed (if that can be read)."""
        text = self.project.file.path.read_text()
        if text != self._text:
            try:
                sync_partitions(self.instance, self.project)
                self._definitions, self._text = build_defs(self.project, self._condition), text
            except ConfigError:
                pass
        return self._definitions

    def place(self, name):
        """Where the images of a dataset are."""
        return self.project.root / "images" / name

    def scan(self):
        """What the scan schedule does."""
        for dataset in self.project.config().datasets:
            self.scan_one(dataset)

    def scan_one(self, dataset):
        if scan_result := scan(self.project, dataset):
            self.instance.report_runless_asset_event(
                raw_event(dataset.name, scan_result.raw_version, scan_result.n_files)
            )

    def tick(self):
        """What one tick asks for, parents first: (asset, partition or None)."""
        definitions = self.definitions()
        result = dg.evaluate_automation_conditions(definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        asked = []
        graph = definitions.resolve_asset_graph()
        for key in graph.toposorted_asset_keys:
            if graph.get(key).is_partitioned:
                asked += [(key, partition) for partition in sorted(result.get_requested_partitions(key))]
            elif result.get_num_requested(key):
                asked.append((key, None))
        return asked

    def run(self, key, partition):
        """What a run launcher does with a request; returns whether it succeeded."""
        job = self.definitions().resolve_implicit_global_asset_job_def()
        subset = job.get_subset(asset_selection={key})
        return subset.execute_in_process(instance=self.instance, partition_key=partition, raise_on_error=False).success

    def run_batch(self, key, partitions):
        """What a backfill launches for datasets that follow each other in the file; whether all succeeded."""
        subset = self.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={key})
        tags = {ASSET_PARTITION_RANGE_START_TAG: partitions[0], ASSET_PARTITION_RANGE_END_TAG: partitions[-1]}
        return subset.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False).success

    def until_idle(self, most_ticks=12):
        """Tick and run until nothing is asked for; returns all that was run."""
        ran = []
        for _ in range(most_ticks):
            asked = self.tick()
            if not asked:
                return ran
            for key, partition in asked:
                self.run(key, partition)
                ran.append((key.to_user_string(), partition))
        raise AssertionError(f"still busy after {most_ticks} ticks: {ran}")

    def news(self):
        """Scan, then bring everything up to date; returns what was run."""
        self.scan()
        return self.until_idle()


__all__ = ["ALL_OF", "Daemon", "open_instance"]
