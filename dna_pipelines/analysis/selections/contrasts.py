"""Contrasts: the distances that a selection is learned from, measured on the images that a goal names.

An attribute is a column of the images' metadata. Differences between its values are measured on slices, which are
extracted once; differences by chance are measured on the statistical blocks that every DNA has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.selections.goal import LearningGoal, attribute
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.distributions import Blocks
from dna_pipelines.errors import NothingToCompare, UnknownName, UserError
from dna_pipelines.project.image_set import StoredImageSet
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Condition
from dna_pipelines.project.slices import metadata_values
from dna_pipelines.storage.fingerprints import Sums
from dna_pipelines.update.slices import fit_slice

F64 = NDArray[np.float64]
Role = Literal["target", "other", "noise"]
ROLES: tuple[Role, ...] = ("target", "other", "noise")
"""What a contrast is for: the attribute itself, other attributes, or chance."""

MOST_VALUES = 12
"""A column with more values is not taken for an attribute."""

FEWEST_IMAGES = 16
"""The number of images that a value needs; distances between fewer images are mostly chance."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """The distances of two sets of images: (n_neurons,) EMD in bins; NaN for neurons that may get no weight."""

    what: str
    role: Role
    emd_bins: F64


@dataclass
class Contrasts:
    """All contrasts of one goal, and what was measured for them.

    Attributes:
        project, extractor: what measures.
        chosen: (n_neurons,) the neurons that may get weight.
        progress: shows the images of slices that are extracted.
        all: the contrasts, in the order in which they were measured.
        versions: the ids of the measured versions and slices, by label.
        left_out: the columns and values without a contrast, with the reasons.
        n_images_extracted: the number of images of slices that were extracted.
    """

    project: ProjectFolder
    extractor: str
    chosen: NDArray[np.bool_]
    progress: Progress | None
    all: list[Contrast] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    n_images_extracted: int = 0

    def measure(self, goal: LearningGoal, images: StoredImageSet) -> None:
        """Measure all contrasts of one of the goal's datasets."""
        self.versions[images.label] = images.id
        strata = [images]
        if goal.within:
            values = self._frequent(images, goal.within, named=True)
            strata = [images.narrowed(Condition(goal.within, value)) for value in values]
        attributes = [attribute(text) for text in goal.respond_to]
        targets = {condition.column for condition in attributes} | set(goal.ignore)
        for stratum in strata:
            for condition in attributes:
                self._measure_attribute(stratum, condition)
            for column in goal.ignore:
                self._measure_values(stratum, column, "target", named=True)
            columns = goal.against or sorted(metadata_values(stratum.rows).keys() - targets - {goal.within})
            for column in columns:
                self._measure_values(stratum, column, "other", named=bool(goal.against))

    def distances(self, role: Role) -> F64:
        """(n_contrasts, n_neurons) the distances of the contrasts with a role."""
        rows = [contrast.emd_bins for contrast in self.all if contrast.role == role]
        return np.array(rows).reshape(-1, len(self.chosen))

    def facts(self, steered: Selection) -> list[dict[str, Any]]:
        """Each contrast with its distance under a selection, and under equal weights."""
        equal = Selection(steered.layers, self.chosen.astype(np.float64))
        return [
            {
                "what": contrast.what,
                "role": contrast.role,
                "emd_bins_equal": equal.mean(contrast.emd_bins),
                "emd_bins_steered": steered.mean(contrast.emd_bins),
            }
            for contrast in self.all
        ]

    def _add(self, what: str, role: Role, distances: F64) -> None:
        self.all.append(Contrast(what, role, np.where(self.chosen, distances, np.nan)))

    def _sums(self, images: StoredImageSet) -> Sums:
        """The measures of a slice, which is extracted if it has no DNA yet."""
        record, n_images = fit_slice(self.project, images, self.extractor, self.progress)
        self.n_images_extracted += n_images or 0
        return self.project.lake.fingerprints.dna_sums(record.dna_id)

    def _measure_attribute(self, images: StoredImageSet, condition: Condition) -> None:
        """The images with a value against those with another, and random halves of both."""
        with_value = self._sums(images.narrowed(condition))
        others = (replace(condition, equal=False), Condition(condition.column, None, equal=False))
        without = self._sums(images.narrowed(*others))
        sizes = [int(sums[2].n_images.sum()) for sums in (with_value, without)]
        if min(sizes) < FEWEST_IMAGES:
            raise NothingToCompare(
                f"{images.label}: {sizes[0]:,} images have {condition} and {sizes[1]:,} have another value; learning "
                f"needs {FEWEST_IMAGES} of each",
                code="selection.too-few-images",
                reference=images.label,
                condition=str(condition),
                n_with=sizes[0],
                n_without=sizes[1],
                at_least=FEWEST_IMAGES,
            )
        what = f"{images.label}: {condition}"
        self._add(what, "target", emd_bins(with_value[0].counts, without[0].counts))
        for side, sums in (("with", with_value), ("without", without)):
            by_chance = _distance_by_chance(sums[2], sums[0].counts.shape[1], sizes)
            if by_chance is not None:
                self._add(f"{what}, halves of the images {side} it", "noise", by_chance)

    def _measure_values(self, images: StoredImageSet, column: str, role: Role, *, named: bool) -> None:
        """Every value of a column against all others, whose counts add up."""
        values = self._frequent(images, column, named=named)
        if len(values) < 2:
            return
        counts = [self._sums(images.narrowed(Condition(column, value)))[0].counts for value in values]
        total = np.sum(counts, axis=0, dtype=np.uint64)
        # With two values, both contrasts are the same.
        n_contrasts = 1 if len(values) == 2 else len(values)
        for value, own in zip(values[:n_contrasts], counts[:n_contrasts], strict=True):
            self._add(f"{images.label}: {Condition(column, value)}", role, emd_bins(own, total - own))

    def _frequent(self, images: StoredImageSet, column: str, *, named: bool) -> list[str]:
        """The values of a column that enough images have; none where the column has too few or too many such values.

        Raises:
            UnknownName: when there is no such column.
            UserError: when the user named the column, and it has too few or too many such values.
        """
        counted = _values_of(images, column)
        frequent = sorted(value for value, n in counted.items() if n >= FEWEST_IMAGES)
        if reason := _why_unusable(len(frequent)):
            if named:
                raise UserError(
                    f"nothing can be learned from '{column}' of {images.label}: {reason}",
                    code="selection.unusable-column",
                    reference=images.label,
                    column=column,
                    n_values=len(frequent),
                    at_least=2,
                    at_most=MOST_VALUES,
                )
            self.left_out.append(f"{images.label}: column '{column}': {reason}")
            return []
        if rare := sum(n for n in counted.values() if n < FEWEST_IMAGES):
            self.left_out.append(
                f"{images.label}: column '{column}': {rare:,} images whose values fewer than {FEWEST_IMAGES} images "
                "have"
            )
        return frequent


def _values_of(images: StoredImageSet, column: str) -> Mapping[str, int]:
    """The values of a column, and how many images have each."""
    columns = metadata_values(images.rows)
    if column not in columns:
        raise UnknownName(
            f"the images of {images.label} have no column '{column}'; their columns are: {', '.join(sorted(columns))}",
            code="name.column",
            reference=images.label,
            column=column,
            known=sorted(columns),
        )
    return columns[column]


def _why_unusable(n_values: int) -> str:
    """Why a column with this number of frequent values is no attribute to learn from; empty where it is."""
    if n_values < 2:
        return f"fewer than two values have {FEWEST_IMAGES} images"
    if n_values > MOST_VALUES:
        return f"it has {n_values:,} values, and an attribute to learn from has at most {MOST_VALUES}"
    return ""


def _distance_by_chance(blocks: Blocks, n_bins: int, sizes: list[int]) -> F64 | None:
    """(n_neurons,) the distance of random halves of a set, scaled to the sizes of the sets that are compared.

    None if all images belong to one group, so that there are no halves.
    """
    even, odd = slice(0, None, 2), slice(1, None, 2)
    n_even, n_odd = int(blocks.n_images[even].sum()), int(blocks.n_images[odd].sum())
    if not n_even or not n_odd:
        return None
    coarse = emd_bins(blocks.counts[:, even].sum(axis=1), blocks.counts[:, odd].sum(axis=1))
    # Distances by chance are proportional to √(1/n + 1/m). A coarse bin is as wide as several fine ones.
    scale = np.sqrt((1 / sizes[0] + 1 / sizes[1]) / (1 / n_even + 1 / n_odd))
    return np.asarray(coarse * (n_bins / blocks.counts.shape[2]) * scale)
