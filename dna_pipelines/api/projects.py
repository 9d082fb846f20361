"""A project from Python: everything the command line does, with results that compute on."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dna_pipelines.api.progress import watched
from dna_pipelines.errors import ConfigError, NothingToCompare, UserError
from dna_pipelines.project.current import current_dnas, publish
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import DATASETS_FILE, ProjectFolder

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.answers import ExportResult, InspectResult, SelectionsResult, SqlResult
    from dna_pipelines.api.comparison import Comparison
    from dna_pipelines.api.datasets import AddResult, DatasetsResult, ForecastResult, HistoryResult, UpdateReport
    from dna_pipelines.api.images import DuplicatesResult, FitsResult, GroupsResult, ImagesResult
    from dna_pipelines.api.overview import MapResult, MatrixResult

Shown = bool | Progress


def open_project(path: str | os.PathLike[str] | None = None) -> Project:
    """Open a project: a folder with `data/datasets.yaml`.

    Args:
        path: the folder; by default the one that the environment variable DNA_ROOT names, else the nearest folder
            above the working directory that has such a file.

    Raises:
        ConfigError: when there is no project (`api.no-project`).

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = create_project(folder)
        >>> open_project(folder).list().names
        ()
    """
    folder = ProjectFolder.find(None if path is None else Path(path))
    if not folder.file.path.exists():
        raise ConfigError(
            f"{folder.root} is not a project: it has no {DATASETS_FILE}; create_project makes one",
            code="api.no-project",
            path=str(folder.root),
        )
    return Project(folder)


def create_project(path: str | os.PathLike[str]) -> Project:
    """Make a folder a project, and open it. A folder that is a project already is opened as it is.

    Args:
        path: the folder, which is made if it is missing.

    Raises:
        ConfigError: when the folder cannot be made (`api.file`).
    """
    root = Path(path).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{root} cannot be made a project: {error.strerror}",
            code="api.file",
            path=str(root),
            reason=str(error.strerror),
        ) from error
    folder = ProjectFolder(root)
    folder.file.create()
    return Project(folder)


class Project:
    """A folder of watched datasets and their fingerprints.

    `open_project` and `create_project` give one. Where a method takes the name of a dataset, it also takes an earlier
    version of it (`"cameras@-1"`, `"cameras@3"`) or a slice (`"cameras[weather=rain]"`).

    Methods that may take long have `progress`: False (the default) is silent; True shows bars in terminals and
    notebooks, and a line a minute where there is neither. Ctrl-C raises KeyboardInterrupt at the next point where
    nothing is lost; what was finished is kept, and the next call goes on from there.

    Attributes:
        folder: the paths and stores behind it, for callers that need more than these methods.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> project = create_project(tempfile.mkdtemp())
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (48, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> project.add("dark", dark).n_files, project.add("light", light).n_files
        (48, 48)
        >>> project.update().n_images_extracted
        96
        >>> comparison = project.compare("dark", "light")
        >>> comparison.emd > 10, comparison.test().significant
        (True, True)
        >>> project.sql("SELECT dataset, n_images FROM datasets ORDER BY ALL").rows
        (('dark', 48), ('light', 48))
    """

    def __init__(self, folder: ProjectFolder) -> None:
        self.folder = folder

    @property
    def root(self) -> Path:
        """The folder."""
        return self.folder.root

    def __repr__(self) -> str:
        """The folder."""
        return f"Project({str(self.root)!r})"

    def add(
        self,
        name: str,
        images: Any,
        *,
        globs: Sequence[str] = (),
        exclude: Sequence[str] = (),
        kind: str | None = None,
        image_column: str | None = None,
        every: int | None = None,
        limit: int | None = None,
        group_by: str | None = None,
        groups: Sequence[object] | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        force: bool = False,
        progress: Shown = False,
    ) -> AddResult:
        """Add a dataset to the project. Nothing is computed before `update`.

        Args:
            name: of the dataset: letters, digits, `.`, `_` and `-`.
            images: a folder, archive, table, index file or URI; or a list of paths, arrays, PIL images, a Hugging Face
                or torch Dataset, as for `fingerprint`. A list of paths is written as an index file under `data/`;
                other objects are written to `data/images/NAME/`: as the bytes they had where a Hugging Face Dataset
                has them, else as PNG without loss.
            globs, exclude: which files of a folder belong to it, such as `["*.png"]`.
            kind: what a location is where its suffix does not tell: folder, index, zip, tar, parquet or arrow.
            image_column: of a table or a Hugging Face Dataset; by default the one column that can be it.
            every, limit: take one file in so many, and at most so many: a stable random sample.
            group_by: what is not independent of each other: `folder`, `regex:PATTERN` or `column:NAME`.
            groups: of objects, the group of each image (clip, patient, …) instead; as long as `images`.
            metadata: of a location, the table beside it: `{"uri": …, "path_column": …}`; of objects, by column one
                value for each image.
            tags: keys with texts, for people.
            force: add a location although it cannot be listed now.
            progress: True shows the images being written.

        Raises:
            ConfigError: when the name is taken or a setting is wrong.
            SourceError: when the location cannot be listed.
            UserError: when objects are no images (`api.image-type`, `api.image-values`).
        """
        from dna_pipelines.api.adding import add_dataset

        settings = {
            "kind": kind, "globs": list(globs), "exclude": list(exclude), "image_column": image_column,
            "every": every, "limit": limit, "group_by": group_by,
        }  # fmt: skip
        entry: dict[str, Any] = {key: value for key, value in settings.items() if value not in (None, [])}
        if tags:
            entry["tags"] = dict(tags)
        return watched(
            lambda steps: add_dataset(self.folder, name, images, entry, groups, metadata, steps, force=force), progress
        )

    def remove(self, name: str) -> None:
        """Remove a dataset from the datasets file. Its fingerprints stay in the lake, its images are never touched.

        Raises:
            UnknownName: when there is no such dataset.
        """
        self.folder.file.remove(name)

    def list(self) -> DatasetsResult:
        """The datasets, where their images lie, and their last version."""
        from dna_pipelines.api.datasets import listed

        return listed(self.folder)

    def scan(self, *names: str, progress: Shown = False) -> DatasetsResult:
        """What changed since the last update, path by path: reads new files, stores nothing.

        Args:
            names: datasets; all where none is named.
            progress: True shows the files being read; see `Project`.
        """
        from dna_pipelines.api.datasets import scanned

        return watched(lambda steps: scanned(self.folder, names, steps), progress)

    def status(self) -> DatasetsResult:
        """What the last update left, without looking at any location: versions, sizes, state of each fingerprint."""
        from dna_pipelines.api.datasets import state

        return state(self.folder)

    def forecast(self, *names: str, progress: Shown = False) -> ForecastResult:
        """What `update` would do, and about how long it would take; computes and stores nothing.

        Args:
            names: datasets; all where none is named.
            progress: True shows the files being read; see `Project`.
        """
        from dna_pipelines.api.datasets import ForecastResult
        from dna_pipelines.update.forecast import forecast
        from dna_pipelines.update.plan import make_plan

        def work(steps: Progress) -> ForecastResult:
            return ForecastResult(forecast(self.folder, make_plan(self.folder, names, steps), steps))

        return watched(work, progress)

    def update(self, *names: str, progress: Shown = False) -> UpdateReport:
        """Bring fingerprints, distances and the matrix up to date, computing only what changed.

        A dataset that fails does not stop the others; `UpdateReport.ok` and `.problems` say so.

        Args:
            names: datasets; all where none is named.
            progress: True shows it; see `Project`.

        Raises:
            ConfigError: when the datasets file is wrong.
        """
        from dna_pipelines.api.datasets import UpdateReport

        return UpdateReport(watched(lambda steps: _updated(self.folder, names, steps), progress))

    def compare(
        self,
        a: str,
        b: str,
        *,
        extractor: str | None = None,
        layers: Sequence[str] = (),
        neurons: Sequence[str] = (),
        selection: str | None = None,
        metric: str | None = None,
        ranges: str | Path | None = None,
        progress: Shown = False,
    ) -> Comparison:
        """Compare two datasets, versions or slices neuron by neuron; their distances are stored.

        Args:
            a, b: names; a slice that has no fingerprint yet is extracted first. Or VDNA files (.json).
            extractor: one of the datasets file; its first by default.
            layers: only these.
            neurons: only these, as `"layer:3,17"` or `"layer:0-9"`.
            selection: instead, the name of a stored selection.
            metric: another distance as well, in `facts["metric"]`: ks, energy, js, hellinger or psi.
            ranges: the file of activation ranges that a VDNA file was binned with, where it does not say.
            progress: True shows the images being extracted; see `Project`.

        Raises:
            UnknownName: when there is no such dataset, version, layer or selection.
            NothingToCompare: when a side has no fingerprint yet.
            Incomparable: when the two were not measured in the same way.
        """
        from dna_pipelines.analysis.compare import compare_pair
        from dna_pipelines.api.comparison import Comparison
        from dna_pipelines.comparison import summary_in

        chosen: dict[str, Any] = {"layers": tuple(layers), "neurons": tuple(neurons), "selection": selection}
        file = None if ranges is None else Path(ranges)

        def work(steps: Progress) -> Comparison:
            pair = compare_pair(self.folder, a, b, extractor=extractor, **chosen, ranges=file, progress=steps)
            compared, facts = pair.comparison, pair.to_json()
            if metric:
                facts["metric"] = summary_in(compared.a, compared.b, metric, pair.selection)
            return Comparison(compared, pair.selection, facts, self.folder, pair)

        return watched(work, progress)

    def matrix(
        self,
        *,
        extractor: str | None = None,
        metric: str = "emd_bins",
        selection: str | None = None,
        test: bool = False,
        n_permutations: int | None = None,
        progress: Shown = False,
    ) -> MatrixResult:
        """The distances between all datasets, as of the last update.

        Args:
            extractor: one of the datasets file; its first by default.
            metric: emd_bins, emd_range, nfd, fd, ks, energy, js, hellinger or psi.
            selection: over the neurons of a stored selection.
            test: also test every pair, with p-values corrected for all of them.
            n_permutations: for each pair; by default 1,000.
            progress: True shows it; see `Project`.
        """
        from dna_pipelines.analysis.significance.all_pairs import judge_all
        from dna_pipelines.analysis.significance.pair import N_RESAMPLES
        from dna_pipelines.api.overview import MatrixResult

        name = self.folder.extractor_name(extractor)

        def work(steps: Progress) -> MatrixResult:
            found, pairs = self._matrix(name, metric, selection, steps), None
            if test:
                settings: dict[str, Any] = {"selection": selection, "n_resamples": n_permutations or N_RESAMPLES}
                pairs = tuple(judge_all(self.folder, name, **settings, progress=steps))
            return MatrixResult(found, pairs)

        return watched(work, progress)

    def map(
        self,
        *,
        extractor: str | None = None,
        metric: str = "emd_bins",
        selection: str | None = None,
        n_clusters: int | None = None,
        from_mean: bool = False,
        progress: Shown = False,
    ) -> MapResult:
        """All datasets in a plane that preserves their distances as well as it can, and which lie together.

        Args:
            extractor, metric, selection: as for `matrix`.
            n_clusters: how many; by default what separates best.
            from_mean: also how far each is from the mean of all, in bins.
            progress: True shows it; see `Project`.

        Raises:
            NothingToCompare: with fewer than three datasets.
        """
        from dna_pipelines.analysis.map import make_map
        from dna_pipelines.analysis.neuron_weights import extractor_selection
        from dna_pipelines.api.overview import MapResult

        name = self.folder.extractor_name(extractor)

        def work(steps: Progress) -> MapResult:
            chosen = extractor_selection(self.folder, selection, name) if selection else None
            found = self._matrix(name, metric, selection, steps)
            settings: dict[str, Any] = {"n_clusters": n_clusters, "from_mean": from_mean, "selection": chosen}
            return MapResult(make_map(self.folder, found, **settings, progress=steps))

        return watched(work, progress)

    def images(
        self,
        a: str,
        b: str,
        *,
        n: int = 20,
        in_detail: int | None = None,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> ImagesResult:
        """The images of A that contribute most to its distance from B; see `Comparison.top_images`."""
        from dna_pipelines.api.images import top_images

        return top_images(self.folder, a, b, extractor, n, in_detail, progress)

    def image_groups(
        self, a: str, b: str, by: str, *, extractor: str | None = None, progress: Shown = False
    ) -> GroupsResult:
        """What groups of images of A contribute to its distance from B.

        Args:
            a, b: as for `compare`.
            by: `group`, `shard` or a column of the metadata.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.

        Raises:
            UnknownName: when there is no such column.
        """
        from dna_pipelines.analysis.images.attribution_by_group import carrying_parts
        from dna_pipelines.api.images import GroupsResult

        def work(steps: Progress) -> GroupsResult:
            return GroupsResult(carrying_parts(self.folder, a, b, by, extractor=extractor, progress=steps))

        return watched(work, progress)

    def image_fits(
        self,
        images: str | Path | Sequence[str | Path],
        against: str | Sequence[str],
        *,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> FitsResult:
        """How well images from anywhere fit one or several datasets; nothing is stored.

        Args:
            images: files, folders or other locations.
            against: datasets, versions or slices.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.
        """
        from dna_pipelines.analysis.images.scores import fit_outside
        from dna_pipelines.api.images import FitsResult, listed
        from dna_pipelines.api.tables import Table

        def work(steps: Progress) -> FitsResult:
            fits, problems = fit_outside(
                self.folder, listed(images), listed(against), extractor=extractor, progress=steps
            )
            return FitsResult(tuple(fits), Table(("path", "problem"), tuple(problems.items())))

        return watched(work, progress)

    def duplicates(
        self,
        *names: str,
        most_bits: float | None = None,
        most_distance: float | None = None,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> DuplicatesResult:
        """Images that occur twice: the same bytes, or nearly the same to the network.

        Args:
            names: one dataset: within it. Two: what they share. More, or none (all): what each shares with each.
            most_bits: the largest share of sign bits that may differ, 0 to 0.5.
            most_distance: the largest root mean square difference of features, in spreads; 0 for exact copies alone.
            extractor: one of the datasets file; its first by default.
            progress: True shows it; see `Project`.

        Raises:
            NothingToCompare: when no dataset has a fingerprint yet (`api.no-fingerprint`).
        """
        from dna_pipelines.analysis.images.duplicates import MOST_BITS, MOST_DISTANCE, find_duplicates, leakage
        from dna_pipelines.api.images import DuplicatesResult

        extractor = self.folder.extractor_name(extractor)
        chosen = names or tuple(current_dnas(self.folder, extractor))
        if not chosen:
            raise NothingToCompare(
                f"no dataset has a fingerprint of {extractor} yet; call update() or run `dna run`",
                code="api.no-fingerprint",
                extractor=extractor,
            )
        limits: dict[str, Any] = {
            "extractor": extractor,
            "most_bits": MOST_BITS if most_bits is None else most_bits,
            "most_distance": MOST_DISTANCE if most_distance is None else most_distance,
        }
        each = len(chosen) > 2 or not names

        def work(steps: Progress) -> DuplicatesResult:
            if each:
                found = leakage(self.folder, chosen, **limits, progress=steps)
            else:
                found = [find_duplicates(self.folder, *chosen, **limits, progress=steps)]
            return DuplicatesResult(self.folder, tuple(found), each)

        return watched(work, progress)

    def select(
        self,
        name: str,
        *,
        layers: Sequence[str] = (),
        neurons: Sequence[str] = (),
        weights: str | Path | None = None,
        datasets: Sequence[str] = (),
        respond_to: Sequence[str] = (),
        ignore: Sequence[str] = (),
        against: Sequence[str] = (),
        within: str | None = None,
        method: Literal["squares", "ratio"] = "squares",
        share: float = 0.05,
        extractor: str | None = None,
        progress: Shown = False,
    ) -> SelectionsResult:
        """Store the neurons that count under a name: chosen by hand, or learned from metadata.

        Args:
            name: of the selection; one that exists gets a new version.
            layers, neurons, weights: by hand: layers, neurons as `"layer:3,17"`, or a table with the columns layer,
                neuron and weight. With `datasets`, `layers` says which may get weight.
            datasets: learn from these datasets, versions or slices.
            respond_to: `"column=value"`: learn to respond to it alone.
            ignore: columns that are not to matter.
            against: columns not to respond to, or to keep; by default every other of few values.
            within: compare images of one value of this column only.
            method, share: see `dna select learn`.
            extractor: one of the datasets file; its first by default.
            progress: True shows the images of slices being extracted; see `Project`.

        Raises:
            UserError: when neither or both ways are asked for, or nothing can be learned.
        """
        from dna_pipelines.analysis.learned_weights import Asked, learn_selection
        from dna_pipelines.analysis.neuron_weights import save_selection
        from dna_pipelines.api.answers import SelectionsResult

        if not (datasets or respond_to or ignore):
            file = None if weights is None else Path(weights)
            record = save_selection(
                self.folder, name, extractor=extractor, layers=layers, neurons=neurons, weights=file
            )
            publish(self.folder)
            return SelectionsResult((record,))
        if neurons or weights is not None:
            raise UserError(
                "a selection is either chosen (neurons, weights) or learned (datasets, respond_to, ignore)",
                code="api.selection",
            )
        asked = Asked(
            tuple(datasets), tuple(respond_to), tuple(ignore), tuple(against), within, tuple(layers), method,
            share,
        )  # fmt: skip

        def work(steps: Progress) -> SelectionsResult:
            learned = learn_selection(self.folder, name, asked, extractor=extractor, progress=steps)
            publish(self.folder)
            return SelectionsResult((learned.record,), tuple(learned.left_out))

        return watched(work, progress)

    def selections(self) -> SelectionsResult:
        """The stored selections of neurons, the current version of each."""
        from dna_pipelines.analysis.neuron_weights import list_selections
        from dna_pipelines.api.answers import SelectionsResult

        return SelectionsResult(tuple(list_selections(self.folder)))

    def inspect(
        self, name: str, then: str | None = None, *, extractor: str | None = None, progress: Shown = False
    ) -> InspectResult:
        """What a fingerprint says about its images: idle neurons, sparsity, richness of every layer.

        Args:
            name: a dataset, version or slice.
            then: another: which neurons changed their state from `name` to it.
            extractor: one of the datasets file; its first by default.
            progress: True shows the images of slices being extracted; see `Project`.
        """
        from dna_pipelines.analysis.inspect import inspect, inspect_change
        from dna_pipelines.api.answers import InspectResult

        def work(steps: Progress) -> InspectResult:
            if then is None:
                return InspectResult(inspect(self.folder, name, extractor=extractor, progress=steps))
            changed = inspect_change(self.folder, name, then, extractor=extractor, progress=steps)
            return InspectResult(changed.after, changed)

        return watched(work, progress)

    def sql(self, query: str | None = None) -> SqlResult:
        """Query the lake with DuckDB.

        Args:
            query: a statement, such as `"FROM quarantine"`; without one, the views are listed with their columns.

        Raises:
            UserError: with DuckDB's message, when the statement is wrong.
        """
        from dna_pipelines.api.answers import SqlResult

        publish(self.folder)
        if query is None:
            return SqlResult(("view", "comment", "columns"), tuple(self.folder.catalog.views()))
        columns, rows = self.folder.catalog.query(query)
        return SqlResult(tuple(columns), tuple(rows))

    def history(self, name: str) -> HistoryResult:
        """The versions of a dataset, oldest first.

        Raises:
            UnknownName: when there is no such dataset.
        """
        from dna_pipelines.api.datasets import HistoryResult

        if name not in self.folder.lake.versions.datasets():
            self.folder.file.dataset(name)
        return HistoryResult(name, tuple(self.folder.lake.versions.history(name)))

    def export(
        self,
        name: str,
        path: str | Path,
        *,
        kind: Literal["histogram", "gaussian", "layer-gaussian"] = "histogram",
        extractor: str | None = None,
        force: bool = False,
        progress: Shown = False,
    ) -> ExportResult:
        """Write a fingerprint as the reference implementation (vdna 0.1.1) reads it; `compare` reads it too.

        Args:
            name: a dataset, version or slice.
            path: NAME.json; the arrays go to NAME.npz beside it.
            kind: what of the fingerprint to write.
            extractor: one of the datasets file; its first by default.
            force: write over files that are there.
            progress: True shows the images of slices being extracted; see `Project`.

        Raises:
            InterchangeError: when the files cannot be written.
        """
        from dna_pipelines.api.answers import ExportResult
        from dna_pipelines.maintenance.export import export_dna

        file = Path(path)

        def work(steps: Progress) -> ExportResult:
            done = export_dna(self.folder, name, file, kind, extractor=extractor, force=force, progress=steps)
            return ExportResult(file, done)

        return watched(work, progress)

    def _matrix(self, extractor: str, metric: str, selection: str | None, progress: Progress) -> Any:
        from dna_pipelines.analysis.matrix import find_matrix, steered_matrix

        if selection:
            return steered_matrix(self.folder, extractor, metric, selection, progress)
        return find_matrix(self.folder, extractor, metric, progress)


def _updated(folder: ProjectFolder, names: Sequence[str], progress: Progress) -> Any:
    """The report of a run; Dagster, which takes a second to import, is spared where there is nothing to do."""
    from dna_pipelines.maintenance.prune import prune_as_configured
    from dna_pipelines.update.plan import make_plan
    from dna_pipelines.update.report import begin_report, nothing_done

    started = time.monotonic()
    plan = make_plan(folder, tuple(names), progress)
    if plan.nothing_to_do:
        report = nothing_done(plan)
        publish(folder)
        report.duration_s = time.monotonic() - started
        return report
    from dna_pipelines.orchestration.headless import bring_up_to_date

    report = begin_report(plan)
    bring_up_to_date(folder, plan, report, progress)
    prune_as_configured(folder)
    return report
