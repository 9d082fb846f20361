"""The methods of a project about its datasets: which there are, what changed, and bringing them up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines.api.arguments import further_settings, location_settings, reading_settings
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.maintenance.prune import PruningPlan, prune_as_configured
from dna_pipelines.project.current import publish
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.results.datasets import AddResult, DatasetsResult, HistoryResult, ScanResult
    from dna_pipelines.api.results.updates import ForecastResult, UpdateReport
    from dna_pipelines.update.report import RunReport


class DatasetMethods:
    """See `Project`."""

    folder: ProjectFolder

    @checked
    def add(
        self,
        name: str,
        images: Any,
        *,
        globs: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        kind: str | None = None,
        image_column: str | None = None,
        every: int | None = None,
        limit: int | None = None,
        group_by: str | None = None,
        bits: int | None = None,
        value_range: Sequence[float] | None = None,
        bands: int | Sequence[int] = (),
        pages: Literal["all", "first"] | None = None,
        groups: Sequence[object] | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        force: bool = False,
        progress: Shown = False,
    ) -> AddResult:
        """Add a dataset to the project. Nothing is computed before `update`.

        Args:
            name: of the dataset: letters, digits, `.`, `_` and `-`.
            images: a folder, archive, table, index file, image file or URI; or a list of paths, arrays, PIL images, a
                Hugging Face or torch Dataset, as for `fingerprint`. A list of paths is written as an index file under
                `data/`, which counts a path once even if it is listed twice (`AddResult.repeated` names those); other
                objects are written to `data/images/NAME/`: as the bytes they had where a Hugging Face Dataset has them,
                else as PNG without loss.
            globs, exclude: which files of a folder belong to it, such as `"*.png"` or `["*.png", "*.jpg"]`.
            kind: what a location is where its suffix does not tell: folder, index, zip, tar, parquet or arrow.
            image_column: of a table or a Hugging Face Dataset; by default the one column that can be it.
            every, limit: take one file in so many, and at most so many: a stable random sample.
            group_by: what is not independent of each other: `folder`, `regex:PATTERN` or `column:NAME`.
            bits: of whole numbers, how many bits are used: 12 where white is 4095.
            value_range: the values that are black and white, such as `(0, 1)`; those outside are clipped and counted.
            bands: the band that is grey, or three that are red, green and blue; the first is 1.
            pages: `all` makes every page of a file, and every frame of an animation, an image; `first` the first alone.
            groups: of objects, the group of each image (clip, patient, …) instead; as long as `images`.
            metadata: of a location, the table that describes it: `{"uri": …, "path_column": …}`; of objects, by column
                one value for each image.
            tags: keys with texts, for people.
            settings: other keys of its entry in the datasets file, such as `{"scan_every": "1h"}`.
            force: add a location although it cannot be listed now.
            progress: True shows the images being written.

        Raises:
            ConfigError: when the name is taken or a setting is wrong.
            SourceError: when the location cannot be listed.
            NothingToCompare: when the collection is empty (`api.no-images-given`).
            UserError: when objects are no images (`api.image-type`, `api.image-values`), a list of paths holds a folder
                (`api.folder-in-list`), or an argument is wrong (`api.argument`, `api.settings`).
        """
        from dna_pipelines.api.inputs.adding import add_dataset

        entry = location_settings(
            globs=globs, exclude=exclude, kind=kind, image_column=image_column, every=every, limit=limit,
            group_by=group_by,
        )  # fmt: skip
        entry |= reading_settings(bits=bits, value_range=value_range, bands=bands, pages=pages)
        if tags:
            entry["tags"] = dict(tags)
        entry |= further_settings(settings or {}, taken=entry.keys())
        return watched(
            lambda steps: add_dataset(self.folder, name, images, entry, groups, metadata, steps, force=force), progress
        )

    @checked
    def remove(self, name: str) -> None:
        """Remove a dataset from the datasets file. Its fingerprints stay in the lake, its images are never touched.

        Raises:
            UnknownName: when there is no such dataset.
        """
        self.folder.file.remove(name)

    def list(self) -> DatasetsResult:
        """The datasets, where their images lie, and their last version."""
        from dna_pipelines.api.results.dataset_rows import listed

        return listed(self.folder)

    @checked
    def scan(self, *names: str, progress: Shown = False) -> ScanResult:
        """What changed since the last update, path by path: reads new files, stores nothing.

        Args:
            names: datasets; all where none is named.
            progress: True shows the files being read; see `Project`.
        """
        from dna_pipelines.api.results.dataset_rows import scanned

        return watched(lambda steps: scanned(self.folder, names, steps), progress)

    def status(self) -> DatasetsResult:
        """What the last update left: versions, sizes, state of each fingerprint.

        Locations are not listed. One on this machine that does not exist is a `problem` (`source.missing`); stores are
        not asked.
        """
        from dna_pipelines.api.results.dataset_rows import state

        return state(self.folder)

    @checked
    def forecast(self, *names: str, progress: Shown = False) -> ForecastResult:
        """What `update` would do, and about how long it would take; computes and stores nothing.

        Args:
            names: datasets; all where none is named.
            progress: True shows the files being read; see `Project`.
        """
        from dna_pipelines.api.results.updates import ForecastResult
        from dna_pipelines.update.forecast import forecast
        from dna_pipelines.update.plan import make_plan

        def work(steps: Progress) -> ForecastResult:
            return ForecastResult(forecast(self.folder, make_plan(self.folder, names, steps), steps))

        return watched(work, progress)

    @checked
    def update(self, *names: str, progress: Shown = False) -> UpdateReport:
        """Bring fingerprints, distances and the matrix up to date, computing only what changed.

        A dataset that fails does not stop the others; `UpdateReport.ok` and `.problems` say so.

        Args:
            names: datasets; all where none is named.
            progress: True shows it; see `Project`.

        Raises:
            ConfigError: when the datasets file is wrong.
        """
        from dna_pipelines.api.results.updates import UpdateReport

        return UpdateReport(*watched(lambda steps: _updated(self.folder, names, steps), progress))

    @checked
    def history(self, name: str) -> HistoryResult:
        """The versions of a dataset, oldest first.

        Raises:
            UnknownName: when there is no such dataset.
        """
        from dna_pipelines.api.results.datasets import HistoryResult

        if name not in self.folder.lake.versions.datasets():
            self.folder.file.dataset(name)
        return HistoryResult(name, tuple(self.folder.lake.versions.history(name)))


def _updated(folder: ProjectFolder, names: Sequence[str], progress: Progress) -> tuple[RunReport, PruningPlan | None]:
    """The report of a run, and what was pruned.

    Dagster, which takes a second to import, is not loaded where there is nothing to do.
    """
    from dna_pipelines.update.plan import make_plan
    from dna_pipelines.update.report import begin_report, nothing_done

    started = time.monotonic()
    plan = make_plan(folder, tuple(names), progress)
    if plan.nothing_to_do:
        report = nothing_done(plan)
        publish(folder)
        report.duration_s = time.monotonic() - started
        return report, None
    from dna_pipelines.orchestration.headless import bring_up_to_date

    report = begin_report(plan)
    bring_up_to_date(folder, plan, report, progress)
    return report, prune_as_configured(folder)
