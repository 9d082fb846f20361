"""A listing of a dataset's location, compared with the last commit, before any new file is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from dna_pipelines.config import DatasetConfig
from dna_pipelines.credentials import options_without_credentials, without_credentials
from dna_pipelines.errors import LakeError
from dna_pipelines.identity import stable_hash
from dna_pipelines.imaging import RULES
from dna_pipelines.manifests import Manifest, Scan, scan_source
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources.failures import only_own_errors
from dna_pipelines.sources.metadata import metadata_signature
from dna_pipelines.storage import Commit

_IF_SET = {
    "kind", "image_column", "every", "limit", "seed", "storage_options", "pixels", "value_range", "bands", "pages",
}  # fmt: skip
"""Settings that count only where they differ from their defaults: manifests from before they existed stay current."""


@dataclass(frozen=True)
class Listing:
    """What a location holds now, beside the last commit of its dataset.

    Attributes:
        dataset: its entry in the datasets file.
        scan: the files of the location.
        settings: see `settings_id`.
        latest: the last commit; None before the first.
        has_manifest: whether the manifest of the last commit exists. A lost one is written again.
        began_ns: when the listing began, in nanoseconds since 1970. Later changes of the location may not be in it.
    """

    dataset: DatasetConfig
    scan: Scan
    settings: str
    latest: Commit | None
    has_manifest: bool = True
    began_ns: int = 0

    @property
    def is_current(self) -> bool:
        """Whether the last commit describes the location as it is."""
        latest = self.latest
        # A file that may be readable by now is read again, although no size or time shows a change.
        if latest is None or latest.n_to_retry or not self.has_manifest:
            return False
        return (latest.raw_version, latest.settings) == (self.scan.raw_version, self.settings)

    @property
    def _any_container(self) -> bool:
        """Whether a whole archive, table or folder cannot be read; its images are not listed."""
        return any(entry.is_container for entry in self.scan.entries)

    @property
    def occasion(self) -> str:
        """Why there is to be another commit although no image may have changed; empty if there is none."""
        if self.latest is None or self.is_current:
            return ""
        if self.latest.settings != self.settings:
            return "its settings changed, no image did"
        if self.latest.raw_version != self.scan.raw_version and not self._any_container:
            return "files were touched, no readable image changed"
        return "what could not be read still cannot be" if self.has_manifest else "its manifest was lost"


def list_location(project: ProjectFolder, dataset: DatasetConfig) -> Listing:
    """List a dataset's location and compare the listing with the last commit.

    Raises:
        SourceError: when the location cannot be reached.
    """
    began_ns, versions = time.time_ns(), project.lake.versions
    latest = versions.latest(dataset.name)
    n_unsettled = latest.n_unsettled if latest else 0
    refreshed_at_ns = versions.refreshed_at_ns(dataset.name)
    has_manifest = latest is None or versions.has_manifest(latest)
    with only_own_errors(dataset.uri):
        source = project.source(dataset)
        scan = scan_source(source, dataset, lambda: manifest_of(project, latest), n_unsettled, refreshed_at_ns)
        return Listing(dataset, scan, settings_id(project, dataset), latest, has_manifest, began_ns)


def manifest_of(project: ProjectFolder, commit: Commit | None) -> Manifest | None:
    """The manifest of a commit; None where it is lost or damaged, because it can be written again."""
    try:
        return project.lake.versions.manifest(commit) if commit else None
    except LakeError:
        return None


def settings_id(project: ProjectFolder, dataset: DatasetConfig) -> str:
    """A hash of what decides the manifest besides the files: the settings, the metadata table, the decoding rules."""
    chosen = dataset.model_dump(mode="json", include={"uri", "globs", "exclude", "group_by", "metadata", "shard_size"})
    chosen |= dataset.model_dump(mode="json", include=_IF_SET, exclude_defaults=True)
    chosen["uri"] = without_credentials(dataset.uri)
    if "storage_options" in chosen:
        chosen["storage_options"] = options_without_credentials(chosen["storage_options"])
    if dataset.metadata:
        chosen["metadata"]["uri"] = without_credentials(dataset.metadata.uri)
        chosen["metadata_signature"] = metadata_signature(dataset.metadata, project.root, table_options(dataset))
    return stable_hash({**chosen, "rules": RULES})


def table_options(dataset: DatasetConfig) -> dict[str, Any]:
    """The options of the dataset's file system, if its metadata table lies on one of the same scheme."""
    scheme = dataset.uri.partition("://")[0]
    table = dataset.metadata.uri if dataset.metadata else ""
    return dataset.storage_options if table.partition("://")[0] == scheme else {}
