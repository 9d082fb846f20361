"""Selections that are learned from metadata: they respond to an attribute, or ignore it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.selections.contrasts import MOST_VALUES, ROLES, Contrasts
from dna_pipelines.analysis.selections.goal import LearningGoal
from dna_pipelines.analysis.selections.stored import require_name
from dna_pipelines.comparison import Selection
from dna_pipelines.comparison.steering import ignore, respond, respond_by_squares
from dna_pipelines.errors import NothingToCompare
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Reference
from dna_pipelines.project.resolve import used_extractor, used_ranges
from dna_pipelines.storage.records import SelectionRecord

F64 = NDArray[np.float64]


@dataclass
class Learned:
    """A learned selection.

    Attributes:
        record: the stored version.
        n_images_extracted: the number of images of slices that were extracted for it.
        left_out: the columns and values that it was not learned from, with the reasons.
    """

    record: SelectionRecord
    n_images_extracted: int
    left_out: list[str]


def learn_selection(
    project: ProjectFolder,
    name: str,
    goal: LearningGoal,
    *,
    extractor: str | None = None,
    progress: Progress | None = None,
) -> Learned:
    """Learn weights from the metadata of datasets, and store them as the next version of a selection.

    Raises:
        UserError: when the goal is incomplete, or cannot be learned from these datasets.
        UnknownName: when there is no such dataset, column, layer or extractor.
    """
    require_name(name)
    goal.require_complete()
    extractor = project.extractor_name(extractor)
    layers = used_ranges(project, extractor).layers
    contrasts = Contrasts(project, extractor, Selection.of(layers, goal.layers).weights > 0, progress)
    for reference in goal.datasets:
        contrasts.measure(goal, resolve_image_set(project, Reference.parse(reference)))
    weights = learned_weights(goal, contrasts)
    how = {
        "made_by": "learning",
        **{key: value for key, value in vars(goal).items() if value},
        "versions": contrasts.versions,
        "contrasts": contrasts.facts(Selection(layers, weights)),
        "left_out": contrasts.left_out,
    }
    key = used_extractor(project, extractor).comparability_key
    record = project.lake.selections.put(name, layers, weights, extractor=extractor, comparability_key=key, how=how)
    return Learned(record, contrasts.n_images_extracted, contrasts.left_out)


def learned_weights(goal: LearningGoal, contrasts: Contrasts) -> F64:
    """(n_neurons,) the weights that fit the contrasts.

    Raises:
        NothingToCompare: when they do not tell the attribute from chance, or there is nothing to keep.
    """
    target, others, noise = (contrasts.distances(role) for role in ROLES)
    if goal.ignore:
        if not len(others):
            raise NothingToCompare(
                f"there is nothing to keep besides {', '.join(goal.ignore)}; the images need another column with "
                f"2 to {MOST_VALUES} values",
                code="selection.nothing-to-keep",
                ignored=list(goal.ignore),
            )
        return ignore(target, others)
    if not len(noise):
        raise NothingToCompare(
            "all images with the value, and all without it, belong to one group, so differences by chance are unknown",
            code="selection.one-group",
        )
    if goal.method == "ratio":
        return respond(target, others, noise, goal.share)
    return respond_by_squares(target, others, noise)
