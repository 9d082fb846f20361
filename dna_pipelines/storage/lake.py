"""The lake: one folder with all results of a project."""

from __future__ import annotations

import json
from pathlib import Path

import dna_pipelines
from dna_pipelines.errors import LakeError
from dna_pipelines.storage.attempts import Attempts
from dna_pipelines.storage.checksums import json_with_checksum, verified_json
from dna_pipelines.storage.contents import StoredContents
from dna_pipelines.storage.distances import Distances
from dna_pipelines.storage.files import remove, remove_drafts, replace, write_new
from dna_pipelines.storage.fingerprints import Fingerprints
from dna_pipelines.storage.layout import FORMAT, Layout
from dna_pipelines.storage.selections import Selections
from dna_pipelines.storage.significance import SignificanceStore
from dna_pipelines.storage.versions import Versions

_TRIAL_BYTES = 2**16
"""An empty file can still be written on a full disk."""


class Lake:
    """A lake. One that does not exist yet is empty, and is created by the first write.

    Attributes:
        versions: commit records and manifests.
        fingerprints: ranges, partials and DNAs.
        distances: of layers and of neurons.
        significance: results of significance tests.
        attempts: updates that have not succeeded yet.
        contents: listings of archives and tables of images.
        selections: of neurons, by name and version.
    """

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.versions = Versions(self.layout)
        self.fingerprints = Fingerprints(self.layout)
        self.distances = Distances(self.layout)
        self.significance = SignificanceStore(self.layout)
        self.attempts = Attempts(self.layout)
        self.contents = StoredContents(self.layout)
        self.selections = Selections(self.layout)
        self._require_format()

    def tidy(self) -> int:
        """Remove the drafts of killed writers; returns how many."""
        return remove_drafts(self.layout.root)

    def try_writing(self) -> None:
        """Write a small file and remove it.

        Raises:
            LakeError: when that fails.
        """
        trial = self.layout.root / ".trial"
        replace(trial, bytes(_TRIAL_BYTES))
        remove(trial)

    def prepare(self) -> None:
        """Mark an empty folder as a lake, before the first write."""
        facts = {"format": FORMAT, "writer": dna_pipelines.__version__}
        write_new(self.layout.marker, json_with_checksum(json.dumps(facts).encode()))

    def _require_format(self) -> None:
        marker = self.layout.marker
        if not marker.exists():
            return
        try:
            found = json.loads(verified_json(marker.read_bytes()))["format"]
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise LakeError(
                f'{marker} is damaged; replace its content by {{"format": {FORMAT}}}',
                code="lake.damaged",
                path=str(marker),
            ) from error
        if found != FORMAT:
            raise LakeError(
                f"{self.layout.root} is a lake of format {found}; this version reads format {FORMAT}",
                code="lake.format",
                path=str(self.layout.root),
                format=found,
                supported=FORMAT,
            )
