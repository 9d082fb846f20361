"""The methods of a project that look at fingerprints: traits, selections of neurons, SQL, and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dna_pipelines.api.arguments import new_file, real, texts
from dna_pipelines.api.door import checked
from dna_pipelines.api.progress import Shown, watched
from dna_pipelines.errors import UserError
from dna_pipelines.project.current import publish
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder

if TYPE_CHECKING:  # each method imports what it returns, because opening a project computes nothing
    from dna_pipelines.api.results.answers import ExportResult, InspectResult, SelectionsResult, SqlResult
    from dna_pipelines.api.results.tables import Table


class InspectionMethods:
    """See `Project`."""

    folder: ProjectFolder

    @checked
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
        from dna_pipelines.api.results.answers import InspectResult

        def work(steps: Progress) -> InspectResult:
            if then is None:
                return InspectResult(inspect(self.folder, name, extractor=extractor, progress=steps))
            changed = inspect_change(self.folder, name, then, extractor=extractor, progress=steps)
            return InspectResult(changed.after, changed)

        return watched(work, progress)

    @checked
    def select(
        self,
        name: str,
        *,
        layers: str | Sequence[str] = (),
        neurons: str | Sequence[str] = (),
        weights: str | Path | None = None,
        datasets: str | Sequence[str] = (),
        respond_to: str | Sequence[str] = (),
        ignore: str | Sequence[str] = (),
        against: str | Sequence[str] = (),
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
            method, share: how neurons are weighed, and the share of them that is kept; see `dna select learn`.
            extractor: one of the datasets file; its first by default.
            progress: True shows the images of slices being extracted; see `Project`.

        Raises:
            UserError: when neither or both ways are asked for, or nothing can be learned.
        """
        from dna_pipelines.analysis.selections.goal import LearningGoal
        from dna_pipelines.analysis.selections.learned import learn_selection
        from dna_pipelines.analysis.selections.stored import save_selection
        from dna_pipelines.api.results.answers import SelectionsResult

        layers, neurons = texts("layers", layers), texts("neurons", neurons)
        datasets, respond_to = texts("datasets", datasets), texts("respond_to", respond_to)
        ignore, against = texts("ignore", ignore), texts("against", against)
        if not (datasets or respond_to or ignore):
            if (weights is None) == (not layers and not neurons):
                raise UserError(
                    "name the neurons either by layers= and neurons=, or by weights=; or learn them: datasets=, and "
                    "respond_to= or ignore=",
                    code="selection.no-neurons",
                )
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
        goal = LearningGoal(
            datasets, respond_to, ignore, against, within, layers, method, real("share", share, low=0, high=1),
        )  # fmt: skip

        def work(steps: Progress) -> SelectionsResult:
            learned = learn_selection(self.folder, name, goal, extractor=extractor, progress=steps)
            publish(self.folder)
            return SelectionsResult((learned.record,), tuple(learned.left_out), learned.n_images_extracted)

        return watched(work, progress)

    @checked
    def selection(self, name: str) -> SelectionsResult:
        """One stored selection of neurons, with its `weights`.

        Args:
            name: NAME, or NAME@2 for a version.

        Raises:
            UnknownName: when there is no such selection.
        """
        from dna_pipelines.analysis.selections.stored import find_record
        from dna_pipelines.api.results.answers import SelectionsResult

        return SelectionsResult((find_record(self.folder, name),), lake=self.folder.lake)

    @checked
    def remove_selection(self, name: str) -> None:
        """Remove a selection. Its versions remain available as NAME@VERSION.

        Raises:
            UnknownName: when there is no such selection.
        """
        from dna_pipelines.analysis.selections.stored import remove_selection

        remove_selection(self.folder, name)
        publish(self.folder)

    def selections(self) -> SelectionsResult:
        """The stored selections of neurons, the current version of each."""
        from dna_pipelines.analysis.selections.stored import list_selections
        from dna_pipelines.api.results.answers import SelectionsResult

        return SelectionsResult(tuple(list_selections(self.folder)))

    @checked
    def sql(self, query: str | None = None, *, unsafe: bool = False, limit_s: float | None = None) -> SqlResult:
        """Query the lake with DuckDB. Statements read files of the project alone, and write none.

        Args:
            query: a statement, such as `"FROM quarantine"`; without one, the views are listed with their columns.
            unsafe: let the statement read and write every file that this process may, and load extensions.
            limit_s: stop the statement after so many seconds.

        Raises:
            UserError: with DuckDB's message, when the statement is wrong (`sql.statement`); when it reads or writes
                other files (`sql.not-allowed`) or takes longer than the limit (`sql.time-limit`).
        """
        from dna_pipelines.api.results.answers import SqlResult

        publish(self.folder)
        if query is None:
            return SqlResult(("view", "comment", "columns"), tuple(self.folder.catalog.views()))
        columns, rows = self.folder.catalog.query(query, unsafe=unsafe, limit_s=limit_s)
        return SqlResult(tuple(columns), tuple(rows))

    @checked
    def columns(self, view: str) -> Table:
        """The columns of a view for `sql`, a row each: `name`, `type` and `meaning`.

        Args:
            view: its name, as `sql()` lists it.

        Raises:
            UserError: when there is no such view.
        """
        from dna_pipelines.api.results.tables import Table

        publish(self.folder)
        return Table.of(column._asdict() for column in self.folder.catalog.columns(view))

    @checked
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
            path: NAME.json, in a folder that exists; the arrays go to NAME.npz beside it.
            kind: what of the fingerprint to write.
            extractor: one of the datasets file; its first by default.
            force: write over files that are there.
            progress: True shows the images of slices being extracted; see `Project`.

        Raises:
            InterchangeError: when the files cannot be written.
            UserError: when there is no such folder (`api.no-folder`).
        """
        from dna_pipelines.api.results.answers import ExportResult
        from dna_pipelines.maintenance.export import export_dna

        file = new_file(Path(path))

        def work(steps: Progress) -> ExportResult:
            done = export_dna(self.folder, name, file, kind, extractor=extractor, force=force, progress=steps)
            return ExportResult(file, done)

        return watched(work, progress)
