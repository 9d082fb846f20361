"""The DNA of a dataset's last commit, computing only what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from dna_pipelines.config import DatasetConfig, ExtractorConfig
from dna_pipelines.errors import CheckFailed, NothingToCompare
from dna_pipelines.manifests import ReadImage, Shard
from dna_pipelines.project.checks import blocked, check_manifest
from dna_pipelines.project.image_bytes import reader
from dna_pipelines.project.image_set import version_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import Commit, DnaRecord
from dna_pipelines.update.calibration import calibrated_or_made
from dna_pipelines.update.measure import Work, measure

_LOOK_BACK = 8
"""How many commits back an earlier DNA is searched for as a base."""


@dataclass(frozen=True)
class Fitted:
    """The result of fitting a DNA. `record` is None for an empty dataset."""

    dataset: str
    extractor: str
    commit: Commit
    record: DnaRecord | None
    comparability_key: str
    work: Work
    duration_s: float = 0.0


def fit(
    project: ProjectFolder, dataset: DatasetConfig, config: ExtractorConfig, progress: Progress | None = None
) -> Fitted:
    """The DNA of a dataset as it was last committed.

    Raises:
        NothingToCompare: when the dataset was never ingested, or there is no image to calibrate on.
        SourceChanged: when images changed since they were ingested.
        CheckFailed: when a check blocks the dataset.
    """
    versions, started = project.lake.versions, time.monotonic()
    commit = versions.latest(dataset.name)
    if commit is None:
        raise NothingToCompare(
            f"{dataset.name} has no manifest yet; "
            "call project.update(), run `dna run`, or materialize its manifest in Dagster",
            code="dataset.no-manifest",
            dataset=dataset.name,
        )
    ready = calibrated_or_made(project, config, progress)
    key = ready.extractors[0].comparability_key(ready.ranges)
    if commit.n_images == 0:
        return Fitted(dataset.name, config.name, commit, None, key.id, Work())
    if reason := blocked(check_manifest(dataset, commit)):
        raise CheckFailed(
            f"a check blocks {dataset.name}: {reason}", code="check.blocked", dataset=dataset.name, reason=reason
        )

    def cut() -> tuple[tuple[Shard, ...], ReadImage]:
        return images.manifest.shards, reader(project, dataset, images.manifest)

    def earlier() -> Iterator[str]:
        for seq in range(commit.seq - 1, max(commit.seq - _LOOK_BACK, 0), -1):
            yield versions.commit(commit.dataset, seq).version_id

    images = version_image_set(project, commit, dataset.name)
    record, work = measure(project, ready, images, cut, earlier=earlier, progress=progress)
    duration_s = 0.0 if work.was_current else time.monotonic() - started
    return Fitted(dataset.name, config.name, commit, record, key.id, work, duration_s)
