"""Results about the datasets of a project: added, listed, scanned, updated, their state and history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dna_pipelines.api.result import Result
from dna_pipelines.api.tables import Table
from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import LakeError, UserError
from dna_pipelines.maintenance.prune import PruningPlan
from dna_pipelines.manifests.diff import in_words
from dna_pipelines.project.problem import old_word, problem_json
from dna_pipelines.project.progress import Progress, counted
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit
from dna_pipelines.update.forecast import Forecast
from dna_pipelines.update.ingest import draft
from dna_pipelines.update.listing import list_location
from dna_pipelines.update.plan import blocked_problem, dna_state
from dna_pipelines.update.report import RunReport


@dataclass(frozen=True, eq=False, repr=False)
class AddResult(Result):
    """A dataset that was added to the datasets file.

    Attributes:
        name: of the dataset.
        uri: where its images lie, relative to the project where they lie inside it.
        n_files: files there that are taken for images; None where the location cannot be listed now.
        quarantined: of images given as Python objects, those that cannot be read: `item` and `problem`. `scan` and
            `update` find those of files and locations.
        repeated: paths that a list names more than once. A project counts each file of an index once; to count it as
            often as it is listed, copy the file, or give the images as bytes.
    """

    name: str
    uri: str
    n_files: int | None
    quarantined: Table
    repeated: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """The same as `quarantined`."""
        return self.quarantined

    @property
    def summary(self) -> str:
        """What was added."""
        files = "its location cannot be listed now" if self.n_files is None else counted(self.n_files, "file")
        unreadable = f", {len(self.quarantined):,} of them unreadable" if len(self.quarantined) else ""
        repeated = f"; {counted(len(self.repeated), 'path')} listed more than once count once" if self.repeated else ""
        return f"added {self.name}: {files} at {self.uri}{unreadable}{repeated}"

    def _json(self) -> Any:
        return {
            "dataset": self.name,
            "uri": self.uri,
            "n_files": self.n_files,
            "quarantined": list(self.quarantined),
        }


@dataclass(frozen=True, eq=False, repr=False)
class DatasetsResult(Result):
    """Datasets, one a row; each with what the method that gave this says.

    Attributes:
        rows: as `to_json` gives them.
    """

    rows: tuple[Mapping[str, Any], ...]

    @property
    def table(self) -> Table:
        """A dataset a row."""
        return Table.of(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the datasets."""
        return tuple(str(row["dataset"]) for row in self.rows)

    @property
    def problems(self) -> dict[str, str]:
        """By dataset, what is wrong with it; empty where nothing is."""
        return {str(row["dataset"]): str(row["problem"]) for row in self.rows if row.get("problem")}

    @property
    def summary(self) -> str:
        """How many there are."""
        return counted(len(self.rows), "dataset")

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """The row of one dataset.

        Raises:
            KeyError: when there is none of that name.
        """
        for row in self.rows:
            if row["dataset"] == name:
                return row
        raise KeyError(name)

    def _json(self) -> Any:
        return list(self.rows)


@dataclass(frozen=True, eq=False, repr=False)
class UpdateReport(Result):
    """What `Project.update` did.

    Attributes:
        report: the full report of the run.
        pruned: what was removed because of `keep_versions` in the datasets file; None where nothing was.
    """

    report: RunReport
    pruned: PruningPlan | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is up to date now."""
        return not self.report.failed and not self.report.problems

    @property
    def problems(self) -> dict[str, str]:
        """By dataset, why it is not up to date; under `""` what went wrong besides single datasets."""
        problems = {dataset.dataset: str(dataset.problem) for dataset in self.report.failed}
        return problems | ({"": "\n".join(map(str, self.report.problems))} if self.report.problems else {})

    @property
    def n_images_extracted(self) -> int:
        """Images that went through a network, over all datasets and extractors."""
        return sum(dataset.n_images_extracted for dataset in self.report.datasets)

    @property
    def n_quarantined(self) -> int:
        """Files that are quarantined, over all datasets; `project.sql("FROM quarantine")` lists them."""
        return sum(dataset.n_quarantined for dataset in self.report.datasets)

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return self.report.duration_s

    @property
    def table(self) -> Table:
        """A dataset a row: `n_images`, `n_quarantined`, `n_images_extracted`, `why`, `problem`."""
        columns = ("dataset", "state", "n_images", "n_quarantined", "n_images_extracted", "n_shards", "why", "problem")
        return Table(
            columns,
            tuple(
                (
                    one.dataset, one.state, one.n_images, one.n_quarantined, one.n_images_extracted, one.n_shards,
                    one.why, str(one.problem) if one.problem else None,
                )
                for one in self.report.datasets
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """Whether everything is up to date."""
        state = "everything is up to date" if self.ok else "not everything is up to date"
        return f"{state} ({counted(self.n_images_extracted, 'image')} extracted, {self.duration_s:.1f} s)"

    def _json(self) -> Any:
        return self.report.to_json()


@dataclass(frozen=True, eq=False, repr=False)
class ForecastResult(Result):
    """What `Project.update` would do, and about how long it would take.

    Attributes:
        forecast: the full forecast.
    """

    forecast: Forecast

    @property
    def table(self) -> Table:
        """A dataset a row: `state`, `n_images`, `n_to_extract`, `extraction_s` (None before the first extraction)."""
        columns = ("dataset", "state", "n_images", "n_to_extract", "extraction_s", "changes", "problem")
        return Table(
            columns,
            tuple(
                (
                    one.name, one.state, one.n_images, sum(one.n_to_extract.values()), one.extraction_s,
                    in_words(one.changes) or one.occasion, str(one.problem) if one.problem else None,
                )
                for one in self.forecast.datasets
            ),
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """How many images would be extracted."""
        n_images = sum(sum(one.n_to_extract.values()) for one in self.forecast.datasets)
        return f"{counted(n_images, 'image')} to extract; nothing was computed or stored"

    def _json(self) -> Any:
        return [vars(one) | problem_json(one.problem) for one in self.forecast.datasets]


@dataclass(frozen=True, eq=False, repr=False)
class HistoryResult(Result):
    """The versions of one dataset, oldest first.

    Attributes:
        dataset: its name.
        commits: their records.
    """

    dataset: str
    commits: tuple[Commit, ...]

    @property
    def table(self) -> Table:
        """A version a row: `commit`, `version_id`, `created_at` (UTC), `n_images`, `n_quarantined`, `changes`."""
        return Table.of(self._json(), ("commit", "version_id", "created_at", "n_images", "n_quarantined", "changes"))

    @property
    def summary(self) -> str:
        """How many versions there are."""
        return f"{self.dataset}: {counted(len(self.commits), 'version')}"

    def _json(self) -> Any:
        return [
            {
                "commit": one.seq,
                "version_id": one.version_id,
                "created_at": one.created_at,
                "n_images": one.n_images,
                "n_quarantined": one.n_quarantined,
                "changes": dict(one.changes),
            }
            for one in self.commits
        ]


def listed(folder: ProjectFolder) -> DatasetsResult:
    """See `Project.list`."""
    rows = []
    for dataset in folder.config().datasets:
        latest = folder.lake.versions.latest(dataset.name)
        rows.append(
            {
                "dataset": dataset.name,
                "uri": dataset.uri,
                "tags": dataset.tags,
                "group_by": dataset.group_by,
                "n_images": latest.n_images if latest else None,
                "version_id": latest.version_id if latest else None,
            }
        )
    return DatasetsResult(tuple(rows))


def scanned(folder: ProjectFolder, names: tuple[str, ...], progress: Progress) -> DatasetsResult:
    """See `Project.scan`."""
    datasets = [folder.file.dataset(name) for name in names] or list(folder.config().datasets)
    return DatasetsResult(tuple(_scan(folder, dataset, progress) for dataset in datasets))


def _scan(folder: ProjectFolder, dataset: DatasetConfig, progress: Progress) -> dict[str, Any]:
    try:
        manifest, diff, remark = draft(folder, list_location(folder, dataset), progress)
    except UserError as error:
        return {"dataset": dataset.name, "problem": str(error), "problem_code": error.code, "facts": error.facts}
    return {
        "dataset": dataset.name,
        "added": [row.name for row in diff.added],
        "removed": [row.name for row in diff.removed],
        "changed": [row.name for _, row in diff.changed],
        "renamed": [f"{old.name} -> {new.name}" for old, new in diff.renamed],
        "described": [row.name for _, row in diff.described],
        "regrouped": [row.name for _, row in diff.regrouped],
        "n_images": len(manifest.readable),
        "n_ignored": manifest.n_ignored,
        "n_not_sampled": manifest.n_not_sampled,
        "quarantined": [{"path": row.name, "reason": row.reason, "detail": row.detail} for row in manifest.quarantined],
        "remark": remark,
    }


def state(folder: ProjectFolder) -> DatasetsResult:
    """See `Project.status`."""
    # What is wrong with the whole lake is raised once, before any dataset.
    _ = folder.lake
    return DatasetsResult(tuple(_state(folder, dataset) for dataset in folder.config().datasets))


def _state(folder: ProjectFolder, dataset: DatasetConfig) -> dict[str, Any]:
    extractors, problem, code = folder.config().extractors, None, None
    try:
        latest = folder.lake.versions.latest(dataset.name)
        states: dict[str, str] = {each.name: dna_state(folder, dataset, each) for each in extractors}
    except LakeError as error:
        latest, states, problem, code = None, {each.name: "" for each in extractors}, str(error), error.code
    blocked = blocked_problem(folder, dataset.name) if "blocked" in states.values() else None
    reason = blocked.message if blocked else None
    return {
        "dataset": dataset.name,
        "n_images": latest.n_images if latest else None,
        "n_quarantined": latest.n_quarantined if latest else None,
        "n_not_sampled": latest.n_not_sampled if latest else None,
        "n_shards": len(latest.shards) if latest else None,
        "size_bytes": latest.n_bytes if latest else None,
        "version_id": latest.version_id if latest else None,
        "commit": latest.seq if latest else None,
        "last_change": latest.created_at if latest else None,
        "dna_states": states,
        "blocked": reason,
        # Aliases in the words of version 0.1.
        "dna": {name: old_word(state) for name, state in states.items()},
        "held_back": reason,
        "problem": problem,
        "problem_code": code,
    }
