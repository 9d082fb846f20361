"""The DNA of a multiset of images, whether a dataset's version or a slice of one: the sum of its shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from dna_pipelines.dna import ActivationRanges, dna_id, sum_partials
from dna_pipelines.extraction.extractor import Extractor
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.extraction.stream.stage_times import StageClock, StageTimes, n_cores
from dna_pipelines.manifests import ReadImage, Shard
from dna_pipelines.prefetch import prefetch
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage import DnaRecord
from dna_pipelines.storage.fingerprints import Sums
from dna_pipelines.storage.versions import now
from dna_pipelines.update.calibration import Calibrated

_MOST_READERS = 4
"""Each of these threads holds the sums of a shard: up to half a GB for large networks."""


Cut = Callable[[], tuple[tuple[Shard, ...], ReadImage]]
"""Returns the shards of a set of images, and what reads their images."""


@dataclass(frozen=True)
class Work:
    """The work that a DNA took."""

    n_computed: int = 0
    """Partials extracted from images."""
    n_merged: int = 0
    """Partials added up from smaller ones."""
    n_reused: int = 0
    """Partials that existed."""
    n_images_extracted: int = 0
    was_current: bool = False
    stages: StageTimes | None = None
    """Where the time of the extraction went; None where nothing was extracted."""


def measure(
    project: ProjectFolder,
    ready: Calibrated,
    images: ImageSet,
    cut: Cut,
    *,
    earlier: Callable[[], Iterable[str]] = tuple,
    progress: Progress | None = None,
) -> tuple[DnaRecord, Work]:
    """The DNA of a set of images, extracting the images of those shards alone that have no partial yet.

    Args:
        project: where the DNA is stored.
        ready: the extractor and its activation ranges.
        images: a version, a slice or a sample.
        cut: called only when the DNA is missing.
        earlier: ids of versions; this set's DNA may be theirs plus some shards.
        progress: shows the images being extracted.

    Raises:
        SourceChanged: when images are no longer what the set says.
    """
    store, started = project.lake.fingerprints, time.monotonic()
    (extractor, *others), ranges = ready.extractors, ready.ranges
    key, compute = extractor.comparability_key(ranges), extractor.compute_key(ranges)
    store.put_key(key)
    store.put_key(compute)
    identity = dna_id(key.id, images.id)
    if record := store.dna_record(identity):
        return record, Work(n_reused=len(record.shards), was_current=True)
    shards, read = cut()
    computed_by, missing, n_merged = _find_partials(project, shards, key.id, compute.id, extractor)
    n_images, clock = sum(map(len, missing)), StageClock()
    if missing:
        with (progress or Silent()).task(f"{ready.name}: {images.label}", n_images) as advance:
            partials = extract_partials(
                extractor,
                ranges,
                missing,
                read,
                workers=project.config().workers,
                on_images=advance,
                others=others,
                clock=clock,
                keep=lambda shard, measured: store.put_partial(compute.id, shard.id, measured, extractor.layers),
            )
            with closing(partials):
                computed_by |= {shard.id: compute.id for shard, _ in partials}
    stages = clock.times() if missing else None
    extraction_s = time.monotonic() - started
    ids = [shard.id for shard in shards]
    histogram, moments, blocks = _sum(
        project, ids, _base(project, earlier, ids, key.id, computed_by), computed_by, ranges
    )
    record = DnaRecord(
        dna_id=identity,
        extractor=ready.name,
        comparability_key=key.id,
        version_id=images.id,
        made_for=str(images.reference) if images.kind == "slice" else images.label,
        dataset=images.dataset,
        kind=images.kind,
        n_images=images.n_images,
        n_neurons=extractor.layers.n_neurons,
        shards=tuple(ids),
        compute_keys=tuple(sorted(set(computed_by.values()))),
        layers=extractor.layers.key(),
        n_dead=histogram.n_dead,
        clipped_share=histogram.clipped_share,
        n_images_extracted=n_images,
        extraction_s=extraction_s if n_images else 0.0,
        created_at=now(),
    )
    store.put_dna(record, histogram, moments, blocks)
    n_reused = len(shards) - len(missing) - n_merged
    return record, Work(len(missing), n_merged, n_reused, n_images, stages=stages)


def _find_partials(
    project: ProjectFolder, shards: tuple[Shard, ...], key: str, compute: str, extractor: Extractor
) -> tuple[dict[str, str], list[Shard], int]:
    """The compute key of each shard's partial, the shards to extract, and how many were added up from parents."""
    store = project.lake.fingerprints
    computed_by: dict[str, str] = {}
    missing: list[Shard] = []
    n_merged = 0
    for shard in shards:
        if found_key := store.find_partial(key, compute, shard.id):
            computed_by[shard.id] = found_key
            continue
        parents = [(parent, store.find_partial(key, compute, parent)) for parent in shard.parents]
        keys = {parent_key for _, parent_key in parents}
        # A sum of partials of several compute keys would be recorded under one of them, so such a shard is extracted.
        if len(keys) == 1 and (shared_key := keys.pop()):
            merged = store.partial(shared_key, parents[0][0])
            for parent, _ in parents[1:]:
                merged = merged.merge(store.partial(shared_key, parent))
            store.put_partial(shared_key, shard.id, merged, extractor.layers)
            computed_by[shard.id] = shared_key
            n_merged += 1
        elif shard.id not in {other.id for other in missing}:
            missing.append(shard)
    return computed_by, missing, n_merged


def _sum(
    project: ProjectFolder,
    shards: list[str],
    base: DnaRecord | None,
    computed_by: dict[str, str],
    ranges: ActivationRanges,
) -> Sums:
    """Add up shards, beginning with an earlier DNA of some of them if there is one."""
    store = project.lake.fingerprints
    done = set(base.shards) if base else set()

    def parts() -> Iterator[Callable[[], Sums]]:
        if base:
            yield partial(store.dna_sums, base.dna_id)
        for shard in shards:
            if shard not in done:
                yield partial(store.partial_sums, computed_by[shard], shard)

    # Reading takes several times as long as adding.
    n_threads = max(1, min(_MOST_READERS, (project.config().workers or n_cores()) // 2))
    with closing(prefetch(parts(), n_threads)) as sums:
        return sum_partials(sums, ranges.layers.n_neurons, ranges.binning.n_bins)


def _base(
    project: ProjectFolder,
    earlier: Callable[[], Iterable[str]],
    shards: list[str],
    key: str,
    computed_by: dict[str, str],
) -> DnaRecord | None:
    """A recent DNA whose shards are all among these, and of the same compute keys."""
    wanted, compute_keys = set(shards), tuple(sorted(set(computed_by.values())))
    if len(wanted) < len(shards):
        return None
    for version_id in earlier():
        other = project.lake.fingerprints.dna_record(dna_id(key, version_id))
        if other and other.compute_keys == compute_keys and wanted.issuperset(other.shards):
            return other if len(set(other.shards)) == len(other.shards) else None
    return None
