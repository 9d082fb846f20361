"""Selections that are learned from metadata: they respond to an attribute, or ignore it.

An attribute is a column of the images' metadata. Differences between its values are measured on slices, which are
extracted once; differences by chance are measured on the statistical blocks that every DNA has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.neuron_weights import extractor_layers, require_name
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.steering import TOP_SHARE, ignore, respond, respond_by_squares
from dna_pipelines.distributions import Blocks, Layers
from dna_pipelines.errors import NothingToCompare, UnknownName, UserError
from dna_pipelines.project.image_set import ImageSet, resolve_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.reference import Condition, Reference
from dna_pipelines.project.resolve import used_extractor
from dna_pipelines.project.slices import metadata_values
from dna_pipelines.storage.fingerprints import Sums
from dna_pipelines.storage.records import SelectionRecord
from dna_pipelines.update.slices import fit_slice

F64 = NDArray[np.float64]
Method = Literal["squares", "ratio"]

MOST_VALUES = 12
"""A column with more values is not taken for an attribute."""

FEWEST_IMAGES = 16
"""The number of images that a value needs; distances between fewer images are mostly chance."""


@dataclass(frozen=True)
class LearningGoal:
    """What to learn, and from which images. Either `respond_to` or `ignore` is given.

    Attributes:
        datasets: datasets, versions or slices; the images of each are compared among themselves.
        respond_to: attributes as COLUMN=VALUE: images with the value are compared with those with another.
        ignore: columns.
        against: columns to respond to as little as possible, or whose differences to keep; by default all other columns
            of few values.
        within: a column. Only images with the same value in it are compared, so that an attribute is not confused with
            what it correlates with.
        layers: the layers that may get weight; by default all, without virtual neurons.
        method: how weights are learned for `respond_to`.
        share: the share of neurons that the method `ratio` chooses.
    """

    datasets: tuple[str, ...]
    respond_to: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    within: str | None = None
    layers: tuple[str, ...] = ()
    method: Method = "squares"
    share: float = TOP_SHARE


@dataclass(frozen=True, eq=False)
class Contrast:
    """The distances of two sets of images: (n_neurons,) EMD in bins; NaN for neurons that may get no weight."""

    what: str
    role: Literal["target", "other", "noise"]
    emd_bins: F64


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
    if bool(goal.respond_to) == bool(goal.ignore):
        raise UserError(
            "name either an attribute to respond to (respond_to=, or --respond-to COLUMN=VALUE), or a column to "
            "ignore (ignore=, or --ignore COLUMN)",
            code="selection.goal",
        )
    if not goal.datasets:
        raise UserError("name the datasets to learn from (datasets=, or --datasets NAME)", code="selection.no-datasets")
    extractor = project.extractor_name(extractor)
    layers = extractor_layers(project, extractor)
    measuring = _Measuring(project, extractor, Selection.of(layers, goal.layers).weights > 0, progress)
    for reference in goal.datasets:
        _measure(measuring, goal, resolve_image_set(project, Reference.parse(reference)))
    weights = _weights(goal, measuring.contrasts, layers)
    equal, steered = Selection(layers, measuring.chosen.astype(np.float64)), Selection(layers, weights)
    how = {
        "made_by": "learning",
        **{key: value for key, value in vars(goal).items() if value},
        "versions": measuring.versions,
        "contrasts": [
            {
                "what": contrast.what,
                "role": contrast.role,
                "emd_bins_equal": equal.mean(contrast.emd_bins),
                "emd_bins_steered": steered.mean(contrast.emd_bins),
            }
            for contrast in measuring.contrasts
        ],
        "left_out": measuring.left_out,
    }
    key = used_extractor(project, extractor).comparability_key
    record = project.lake.selections.put(name, layers, weights, extractor=extractor, comparability_key=key, how=how)
    return Learned(record, measuring.n_images_extracted, measuring.left_out)


@dataclass
class _Measuring:
    """Measures slices, and collects contrasts and the reasons why columns or values are left out."""

    project: ProjectFolder
    extractor: str
    chosen: NDArray[np.bool_]
    progress: Progress | None
    contrasts: list[Contrast] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    n_images_extracted: int = 0

    def sums(self, images: ImageSet) -> Sums:
        """The measures of a slice, which is extracted if it has no DNA yet."""
        record, n_images = fit_slice(self.project, images, self.extractor, self.progress)
        self.n_images_extracted += n_images or 0
        return self.project.lake.fingerprints.dna_sums(record.dna_id)

    def add(self, what: str, role: Literal["target", "other", "noise"], distances: F64) -> None:
        """Add a contrast, of the neurons that may get weight."""
        self.contrasts.append(Contrast(what, role, np.where(self.chosen, distances, np.nan)))


def _measure(measuring: _Measuring, goal: LearningGoal, images: ImageSet) -> None:
    """Measure all contrasts of one of the datasets."""
    measuring.versions[images.label] = images.id
    strata = [images]
    if goal.within:
        values = _frequent(measuring, images, goal.within, named=True)
        strata = [images.narrowed(Condition(goal.within, value)) for value in values]
    targets = {_condition(text).column for text in goal.respond_to} | set(goal.ignore)
    for stratum in strata:
        for text in goal.respond_to:
            _measure_target(measuring, stratum, _condition(text))
        for column in goal.ignore:
            _measure_values(measuring, stratum, column, "target", named=True)
        columns = goal.against or sorted(metadata_values(stratum.rows).keys() - targets - {goal.within})
        for column in columns:
            _measure_values(measuring, stratum, column, "other", named=bool(goal.against))


def _measure_target(measuring: _Measuring, images: ImageSet, condition: Condition) -> None:
    """The images with a value against those with another, and random halves of both."""
    with_value = measuring.sums(images.narrowed(condition))
    others = (Condition(condition.column, condition.value, equal=False), Condition(condition.column, None, equal=False))
    without = measuring.sums(images.narrowed(*others))
    sizes = [int(sums[2].n_images.sum()) for sums in (with_value, without)]
    if min(sizes) < FEWEST_IMAGES:
        raise NothingToCompare(
            f"{images.label}: {sizes[0]:,} images have {condition} and {sizes[1]:,} have another value; learning needs "
            f"{FEWEST_IMAGES} of each",
            code="selection.too-few-images",
            reference=images.label,
            condition=str(condition),
            n_with=sizes[0],
            n_without=sizes[1],
            at_least=FEWEST_IMAGES,
        )
    what = f"{images.label}: {condition}"
    measuring.add(what, "target", emd_bins(with_value[0].counts, without[0].counts))
    for side, sums in (("with", with_value), ("without", without)):
        by_chance = _distance_by_chance(sums[2], sums[0].counts.shape[1], sizes)
        if by_chance is not None:
            measuring.add(f"{what}, halves of the images {side} it", "noise", by_chance)


def _measure_values(
    measuring: _Measuring, images: ImageSet, column: str, role: Literal["target", "other"], *, named: bool
) -> None:
    """Every value of a column against all others, whose counts add up."""
    values = _frequent(measuring, images, column, named=named)
    if len(values) < 2:
        return
    counts = [measuring.sums(images.narrowed(Condition(column, value)))[0].counts for value in values]
    total = np.sum(counts, axis=0, dtype=np.uint64)
    # With two values, both contrasts are the same.
    for value, own in list(zip(values, counts, strict=True))[: 1 if len(values) == 2 else None]:
        measuring.add(f"{images.label}: {Condition(column, value)}", role, emd_bins(own, total - own))


def _frequent(measuring: _Measuring, images: ImageSet, column: str, *, named: bool) -> list[str]:
    """The values of a column that enough images have; none where the column has too few or too many such values.

    Raises:
        UnknownName: when there is no such column.
        UserError: when the user named the column, and it has too few or too many such values.
    """
    columns = metadata_values(images.rows)
    if column not in columns:
        raise UnknownName(
            f"the images of {images.label} have no column '{column}'; their columns are: {', '.join(sorted(columns))}",
            code="name.column",
            reference=images.label,
            column=column,
            known=sorted(columns),
        )
    counted = columns[column]
    frequent = sorted(value for value, n in counted.items() if n >= FEWEST_IMAGES)
    rare = sum(n for value, n in counted.items() if n < FEWEST_IMAGES)
    reason = ""
    if len(frequent) < 2:
        reason = f"fewer than two values have {FEWEST_IMAGES} images"
    elif len(frequent) > MOST_VALUES:
        reason = f"it has {len(frequent):,} values, and an attribute to learn from has at most {MOST_VALUES}"
    if reason and named:
        raise UserError(
            f"nothing can be learned from '{column}' of {images.label}: {reason}",
            code="selection.unusable-column",
            reference=images.label,
            column=column,
            n_values=len(frequent),
            at_least=2,
            at_most=MOST_VALUES,
        )
    if reason:
        measuring.left_out.append(f"{images.label}: column '{column}': {reason}")
        return []
    if rare:
        measuring.left_out.append(
            f"{images.label}: column '{column}': {rare:,} images whose values fewer than {FEWEST_IMAGES} images have"
        )
    return frequent


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


def _weights(goal: LearningGoal, contrasts: list[Contrast], layers: Layers) -> F64:
    def rows(role: str) -> F64:
        return np.array([contrast.emd_bins for contrast in contrasts if contrast.role == role]).reshape(
            -1, layers.n_neurons
        )

    target, others, noise = rows("target"), rows("other"), rows("noise")
    try:
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
                "all images with the value, and all without it, belong to one group, so differences by chance are "
                "unknown",
                code="selection.one-group",
            )
        if goal.method == "ratio":
            return respond(target, others, noise, goal.share)
        return respond_by_squares(target, others, noise)
    except ValueError as error:
        raise NothingToCompare(
            f"nothing can be learned: {error}", code="selection.nothing-learned", reason=str(error)
        ) from error


def _condition(text: str) -> Condition:
    try:
        conditions = Reference.parse(f"x[{text}]").where
    except UnknownName:
        conditions = ()
    if len(conditions) != 1 or not conditions[0].equal or conditions[0].value is None:
        raise UnknownName(
            f"{text!r} is not an attribute with a value; write COLUMN=VALUE",
            code="selection.attribute-syntax",
            text=text,
        )
    return conditions[0]
