"""Ingestion: from a dataset's place to a committed manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dna_pipelines.config import DatasetConfig
from dna_pipelines.errors import DnaError, LakeError, SourceError
from dna_pipelines.identity import Item, stable_hash
from dna_pipelines.imaging import RULES
from dna_pipelines.manifests import Manifest, ManifestDiff, Scan, Shard, build_manifest, diff_manifests, scan_source
from dna_pipelines.manifests.manifest import VANISHED
from dna_pipelines.manifests.scan import Metadata
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources.metadata import metadata_signature, read_metadata
from dna_pipelines.storage import Commit

_TRIES = 10
_LOOK_BACK = 8
"""Commits of a dataset whose shards may be taken up again."""
_IF_SET = {"kind", "image_column", "every", "limit", "seed", "storage_options"}


@dataclass(frozen=True)
class Look:
    """What a look at a dataset's place showed, before any new file is read."""

    dataset: DatasetConfig
    scan: Scan
    settings: str
    latest: Commit | None
    has_manifest: bool = True
    """Whether the last commit's manifest is there; a lost one is made again."""
    began_ns: int = 0
    """When the listing began, in nanoseconds since 1970: later changes of the location may not be in it."""

    @property
    def is_current(self) -> bool:
        """Whether the last commit says all there is to say."""
        latest = self.latest
        # A file that may be readable by now is tried again, although nothing shows that it changed.
        if latest is None or latest.n_to_retry or not self.has_manifest:
            return False
        return (latest.raw_version, latest.settings) == (self.scan.raw_version, self.settings)

    @property
    def occasion(self) -> str:
        """Why there is to be another commit, for people who are shown that no image changed; empty if there is not."""
        if self.latest is None or self.is_current:
            return ""
        if self.latest.settings != self.settings:
            return "its settings changed, no image did"
        if self.latest.raw_version != self.scan.raw_version:
            return "files were touched, no byte changed"
        return "what could not be read still cannot be" if self.has_manifest else "its manifest was lost"


@dataclass(frozen=True)
class Ingested:
    """What a refresh did."""

    commit: Commit
    manifest: Manifest
    diff: ManifestDiff
    was_current: bool


def look(project: ProjectFolder, dataset: DatasetConfig) -> Look:
    """List a dataset and compare the listing with the last commit.

    Raises:
        SourceError: when its place cannot be reached.
    """
    began_ns, versions = time.time_ns(), project.lake.versions
    latest = versions.latest(dataset.name)
    source = project.source(dataset)
    n_unsettled = latest.n_unsettled if latest else 0
    looked_at_ns = versions.looked_at_ns(dataset.name)
    scan = scan_source(source, dataset, lambda: _manifest(project, latest), n_unsettled, looked_at_ns)
    has_manifest = latest is None or versions.has_manifest(latest)
    return Look(dataset, scan, _settings(project, dataset), latest, has_manifest, began_ns)


def _manifest(project: ProjectFolder, commit: Commit | None) -> Manifest | None:
    """The manifest of the last commit; None where it is gone or damaged, because the place tells it again."""
    try:
        return project.lake.versions.manifest(commit) if commit else None
    except LakeError:
        return None


class Draft(NamedTuple):
    """What a refresh would commit."""

    manifest: Manifest
    diff: ManifestDiff
    remark: str


def draft(project: ProjectFolder, seen: Look, progress: Progress | None = None) -> Draft:
    """What a refresh would commit; does not commit it."""
    dataset, latest = seen.dataset, seen.latest
    previous = _manifest(project, latest)
    metadata = read_metadata(dataset.metadata, project.root, _table_options(dataset)) if dataset.metadata else None
    source = project.source(dataset)
    if previous and latest and latest.place != _place(dataset):
        # Elsewhere the same name and time prove nothing: every file is read again.
        previous = previous.forget_signatures()
    if previous and latest and latest.rules != RULES:
        previous = previous.forget_quarantine()
    n_known = len(previous.rows) if previous else 0
    with (progress or Silent()).task(f"reading {dataset.name}", max(len(seen.scan.entries) - n_known, 0)) as advance:
        manifest = build_manifest(
            seen.scan,
            source,
            dataset,
            previous,
            metadata,
            on_progress=lambda *_: advance(1),
            known_shards=partial(_known_shards, project, dataset.name),
        )
    remark = _on_stray_rows(dataset, metadata or {}, manifest)
    _require_group_column(dataset, manifest, remark)
    remarks = (remark, _on_no_file(dataset, seen.scan))
    return Draft(manifest, diff_manifests(previous, manifest), "; ".join(one for one in remarks if one))


def changes_since(project: ProjectFolder, dataset: str, before: Commit | None) -> dict[str, int]:
    """Counts of the difference of a dataset as it is now from what it was at a commit, whatever came between.

    Raises:
        LakeError: when the manifest of the last commit is gone or damaged.
    """
    latest = project.lake.versions.latest(dataset)
    now = project.lake.versions.manifest(latest) if latest else None
    return diff_manifests(_manifest(project, before), now).counts() if now else {}


def _known_shards(project: ProjectFolder, dataset: str, items: Sequence[Item]) -> Iterator[Shard]:
    """Shards that some images may fill, of this dataset before and of the others as they are: those are measured.

    So a copy of a dataset with more images, a union of several, and images that went and came back cost what is new.
    """
    # Of older commits all manifests would have to be read.
    commits = (one for one in _commits(project, dataset) if all(shard.smallest for shard in one.shards))
    return project.lake.versions.shards_among(commits, {item.digest for item in items})


def _commits(project: ProjectFolder, dataset: str) -> Iterator[Commit]:
    """The last ones of a dataset, and that of every other which ever was."""
    versions = project.lake.versions
    for name in (dataset, *(one for one in versions.datasets() if one != dataset)):
        try:
            yield from reversed(versions.history(name, _LOOK_BACK if name == dataset else 1))
        except LakeError:
            # Whoever needs the one that is gone says so.
            continue


def _on_stray_rows(dataset: DatasetConfig, table: Metadata, manifest: Manifest) -> str:
    """Which rows of the metadata table name no image; empty where none does."""
    names = {row.name for row in manifest.rows}
    stray = [path for path in table if path not in names]
    if not stray or not dataset.metadata:
        return ""
    place, column = dataset.metadata.uri, dataset.metadata.path_column
    if len(stray) < len(table):
        return f"{len(stray):,} of {len(table):,} rows of {place} name no image here, such as {stray[0]}"
    example = f", where an image is called {manifest.rows[0].name}" if manifest.rows else ""
    return f"no row of {place} names an image here: its column {column} has {stray[0]}{example}"


def _on_no_file(dataset: DatasetConfig, scan: Scan) -> str:
    """Why not a single file is taken; empty where one is."""
    uri = dataset.uri
    if scan.entries:
        return ""
    if scan.n_not_sampled:
        return f"the sample takes none of the {scan.n_not_sampled:,} files at {uri}; see `every`"
    if not scan.n_ignored:
        return f"there is nothing at {uri}: no file, no line and no row"
    rules = {"globs": dataset.globs, "exclude": dataset.exclude}
    told = " and ".join(f"`{rule}: [{', '.join(patterns)}]`" for rule, patterns in rules.items() if patterns)
    fault = f"passes {told}" if told else "has the suffix of an image (`globs` can ask for others)"
    example = f", such as {scan.ignored.decode('utf-8', 'backslashreplace')}" if scan.ignored else ""
    return f"no file at {uri} {fault}: {scan.n_ignored:,} ignored{example}"


def _require_group_column(dataset: DatasetConfig, manifest: Manifest, remark: str) -> None:
    kind, _, column = (dataset.group_by or "").partition(":")
    if kind != "column" or not manifest.readable or any(column in (row.metadata or {}) for row in manifest.readable):
        return
    there = sorted({name for row in manifest.readable for name in row.metadata or {}})
    raise SourceError(
        f"no image of {dataset.name} has a value in the column {column}, which `group_by` names; the columns of its "
        f"metadata are: {', '.join(there) or remark or 'none (add `metadata: {uri: …}`)'}",
        code="source.group-column",
        dataset=dataset.name,
        column=column,
        columns=there,
    )


def _table_options(dataset: DatasetConfig) -> dict[str, Any]:
    """What the dataset's file system needs, if its table lies on one of the same scheme."""
    scheme = dataset.uri.partition("://")[0]
    table = dataset.metadata.uri if dataset.metadata else ""
    return dataset.storage_options if table.partition("://")[0] == scheme else {}


def refresh(
    project: ProjectFolder, dataset: DatasetConfig, progress: Progress | None = None, listed: Look | None = None
) -> Ingested:
    """Bring a dataset's manifest up to date and commit it.

    Two processes may do this at once: the commit that comes second is made again on top of the first.

    Args:
        project: where the dataset is.
        dataset: its entry in the datasets file.
        progress: shows the files that are read.
        listed: what a listing of its location showed earlier in the same run. It is used where nothing has
            happened since that would make it wrong; else the location is listed again.

    Raises:
        SourceError: when the location cannot be reached; the last commit stays what it is.
    """
    lake = project.lake
    lake.prepare()
    for _ in range(_TRIES):
        seen, listed = _still_valid(project, dataset, listed), None
        reused = seen is not None
        seen = seen or look(project, dataset)
        looked_at_ns = seen.began_ns
        if seen.is_current and seen.latest and (known := _manifest(project, seen.latest)):
            lake.versions.point_at(seen.latest)
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(seen.latest, known, ManifestDiff(), was_current=True)
        manifest, diff, remark = draft(project, seen, progress)
        if reused and any(row.reason == VANISHED for row in manifest.quarantined):
            # Between the listing and now is more time than a listing takes: the files of now are listed once more.
            continue
        latest = seen.latest
        taken_in = (manifest.id, seen.scan.raw_version, seen.settings)
        if latest and (latest.manifest_id, latest.raw_version, latest.settings) == taken_in:
            # What could not be read still cannot be; or the manifest was lost, and is as it was.
            lake.versions.put_manifest(dataset.name, manifest)
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(latest, manifest, diff, was_current=True)
        commit = lake.versions.add(
            dataset.name,
            manifest,
            after=seen.latest.seq if seen.latest else 0,
            uri=dataset.uri,
            place=_place(dataset),
            rules=RULES,
            raw_version=seen.scan.raw_version,
            settings=seen.settings,
            changes=diff.counts(),
            remark=remark,
        )
        if commit:
            lake.versions.put_looked(dataset.name, looked_at_ns)
            return Ingested(commit, manifest, diff, was_current=False)
    raise DnaError(
        f"{dataset.name}: other processes committed {_TRIES} times during this refresh; run again",
        code="dataset.other-writers",
        dataset=dataset.name,
        n_tries=_TRIES,
    )


def _still_valid(project: ProjectFolder, dataset: DatasetConfig, listed: Look | None) -> Look | None:
    """An earlier listing, unless another process committed or listed since, or the settings changed."""
    if listed is None or listed.dataset != dataset or listed.settings != _settings(project, dataset):
        return None
    versions = project.lake.versions
    latest = versions.latest(dataset.name)
    same_commit = (latest and latest.seq) == (listed.latest and listed.latest.seq)
    return listed if same_commit and versions.looked_at_ns(dataset.name) <= listed.began_ns else None


def _place(dataset: DatasetConfig) -> str:
    """A hash of what in the datasets file decides which bytes a name stands for."""
    return stable_hash(dataset.model_dump(mode="json", include={"uri", "kind", "image_column", "storage_options"}))


def _settings(project: ProjectFolder, dataset: DatasetConfig) -> str:
    """A hash of what decides the manifest, besides the files: the datasets file, the table, the rules of decoding."""
    chosen = dataset.model_dump(mode="json", include={"uri", "globs", "exclude", "group_by", "metadata", "shard_size"})
    chosen |= dataset.model_dump(mode="json", include=_IF_SET, exclude_defaults=True)
    if dataset.metadata:
        chosen["metadata_signature"] = metadata_signature(dataset.metadata, project.root, _table_options(dataset))
    return stable_hash({**chosen, "rules": RULES})
