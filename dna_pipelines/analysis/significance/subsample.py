"""Finer blocks for the larger side of a test: a uniform sample of its images, measured once.

A block of a dataset of 8,000 images has 125 images, which is too coarse for permutations against a day's 40 images. The
images whose units have the smallest lots are a uniform sample of the dataset, and a stable one: it does not depend on
names or order, and it keeps its images when others are added. A group is in it as a whole or not at all. It is measured
like a slice, its DNA stays in the lake, and the next day's batch reuses it.
"""

from __future__ import annotations

import numpy as np

from dna_pipelines.dna import dna_id
from dna_pipelines.identity import N_BLOCKS
from dna_pipelines.project.image_set import ImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.storage.removal import note_use
from dna_pipelines.update.slices import fit_slice

SAMPLE_OF = "a uniform sample of "
"""The beginning of a sample's label."""

_FINER = 4
"""The smaller side has at least as many images as this number of the sample's blocks."""

_SHARD_SIZE = 128
"""Small, because images added to a dataset change the last shard of its sample, which is then measured again."""


def sample_of(images: ImageSet, n_smaller: int) -> ImageSet:
    """A uniform sample whose blocks are fine enough for a test against a smaller side.

    It takes 1/2, 1/4, 1/8, … of the units, so that small sides of similar size share a sample, and the sample for a
    larger side contains the sample for a smaller one.

    Args:
        images: the images of the larger side.
        n_smaller: the number of images of the smaller side.

    Returns:
        About 8 to 16 times as many images as the smaller side has.
    """
    share = share_of(len(images.items), n_smaller)
    return images.take(np.flatnonzero(images.lots < share).tolist(), SAMPLE_OF + images.label, "sample")


def share_of(n_images: int, n_smaller: int) -> float:
    """The share of units that go into a sample of `n_images` images, for a test against `n_smaller`.

    Raises:
        ValueError: when the smaller side has no images, because no sample is fine enough.
    """
    if n_smaller < 1:
        raise ValueError("a sample needs a smaller side with images")
    halvings = 0
    while n_images * _FINER > (N_BLOCKS * n_smaller) << halvings:
        halvings += 1
    return 0.5**halvings


def fit_sample(
    project: ProjectFolder, sample: ImageSet, key: str, extractor: str, progress: Progress | None = None
) -> int:
    """Make sure that a sample has a DNA of a comparability key.

    Args:
        project: the project of the images.
        sample: see `sample_of`.
        key: the comparability key of the extractor.
        extractor: the name of an extractor that the project has used.
        progress: shows the images being extracted.

    Returns:
        The number of images extracted for it; 0 if it had a DNA already.

    Raises:
        UserError: when images have to be extracted and cannot be read.
    """
    if record := project.lake.fingerprints.dna_record(dna_id(key, sample.id)):
        note_use(project.lake.layout.dna_record(record.dna_id))
        return 0
    return fit_slice(project, sample, extractor, progress, shard_size=_SHARD_SIZE)[1] or 0
