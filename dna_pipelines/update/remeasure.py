"""Measuring single images in full detail, in memory: nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from dna_pipelines.dna import Partial
from dna_pipelines.extraction.partials import extract_partials
from dna_pipelines.identity import Item
from dna_pipelines.imaging import Encoded
from dna_pipelines.manifests import Shard
from dna_pipelines.project.progress import Progress, Silent
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.update.calibration import Calibrated


def partials_of(
    project: ProjectFolder,
    ready: Calibrated,
    sets: Sequence[Sequence[str]],
    data: Mapping[str, Encoded],
    progress: Progress | None = None,
) -> Iterator[tuple[tuple[str, ...], Partial]]:
    """The partial of each set of images, with the digests of the set, in the order in which they are done.

    Args:
        project: says how many workers there are.
        ready: see `ready_as`.
        sets: digests.
        data: encoded images by digest, which can be decoded.
        progress: shows the images.
    """
    shards = [Shard(tuple(map(Item, digests))) for digests in sets]
    extractor, *others = ready.extractors
    with (progress or Silent()).task(f"{ready.name}: in full detail", sum(map(len, shards))) as advance:
        partials = extract_partials(
            extractor,
            ready.ranges,
            shards,
            data.__getitem__,
            workers=project.config().workers,
            on_images=advance,
            others=others,
        )
        with closing(partials):
            for shard, partial in partials:
                yield tuple(item.digest for item in shard.items), partial
