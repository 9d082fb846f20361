"""Finer blocks for the larger side of a test: a uniform sample of its images, measured once.

Of a dataset of 8,000 images a block has 125, and against a day's 40 none can take the place of another. The images
whose units have the smallest lots are a uniform sample of it, and a stable one: it does not depend on names, order or
what is shown, and keeps its images when others come. Groups are in it whole or not at all. It is measured like a slice,
its DNA stays in the lake, and the next day's batch finds it there.
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
"""How the label of a sample begins."""

_FINER = 4
"""As many blocks of a sample as this are worth the smaller side, or more."""

_SHARD_SIZE = 128
"""Small, because what is added to a dataset makes the last shard of its sample anew."""


def sample_of(images: ImageSet, n_smaller: int) -> ImageSet:
    """A uniform sample whose blocks are fine enough for a test against a smaller side.

    It takes 1/2, 1/4, 1/8, … of the units, so that small sides of about one size share a sample and that of a larger
    one holds that of a smaller one.

    Args:
        images: of the larger side.
        n_smaller: images of the smaller side.

    Returns:
        About 8 to 16 times as many images as the smaller side has.
    """
    share = share_of(len(images.items), n_smaller)
    return images.take(np.flatnonzero(images.lots < share).tolist(), SAMPLE_OF + images.label, "sample")


def share_of(n_images: int, n_smaller: int) -> float:
    """The share of units that go into a sample of so many images, for a test against so few.

    Raises:
        ValueError: when the smaller side has no images, because no sample is fine enough for that.
    """
    if n_smaller < 1:
        raise ValueError("a sample is for a smaller side that has images")
    halvings = 0
    while n_images * _FINER > (N_BLOCKS * n_smaller) << halvings:
        halvings += 1
    return 0.5**halvings


def fit_sample(
    project: ProjectFolder, sample: ImageSet, key: str, extractor: str, progress: Progress | None = None
) -> int:
    """Make sure that a sample has a DNA of a comparability key.

    Args:
        project: where it is.
        sample: see `sample_of`.
        key: that the extractor measures by.
        extractor: one of the project's that was used.
        progress: shows the images being extracted.

    Returns:
        How many images were extracted for it: 0 where it was there.

    Raises:
        UserError: when images have to be extracted and cannot be.
    """
    if record := project.lake.fingerprints.dna_record(dna_id(key, sample.id)):
        note_use(project.lake.layout.dna_record(record.dna_id))
        return 0
    return fit_slice(project, sample, extractor, progress, shard_size=_SHARD_SIZE)[1] or 0
