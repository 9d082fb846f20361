"""Results about the datasets of a project: added, listed, scanned, their state and history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dna_pipelines.api.results.result import Result
from dna_pipelines.api.results.tables import Table
from dna_pipelines.credentials import without_credentials
from dna_pipelines.project.progress import counted
from dna_pipelines.storage import Commit


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
        return f"added {self.name}: {files} at {without_credentials(self.uri)}{unreadable}{repeated}"

    def _json(self) -> Any:
        return {
            "dataset": self.name,
            "uri": without_credentials(self.uri),
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

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """The row of each dataset."""
        return iter(self.rows)

    def __len__(self) -> int:
        """How many datasets there are."""
        return len(self.rows)

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


CHANGES = ("added", "removed", "changed", "renamed", "described", "regrouped", "reread")
"""The kinds of change of a dataset, as a scan tells them apart."""


@dataclass(frozen=True, eq=False, repr=False)
class ScanResult(DatasetsResult):
    """What scans found, one dataset a row: names of images by kind of change (`CHANGES`), and the quarantined ones."""

    @property
    def changed(self) -> tuple[str, ...]:
        """The datasets that changed since the last update."""
        return tuple(str(row["dataset"]) for row in self.rows if any(row.get(change) for change in CHANGES))

    @property
    def summary(self) -> str:
        """How many datasets changed, and how many could not be scanned."""
        failed = f", {len(self.problems):,} could not be scanned" if self.problems else ""
        return f"{len(self.changed):,} of {counted(len(self.rows), 'dataset')} changed since the last update{failed}"
