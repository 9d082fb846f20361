"""Selections that are learned from labels: of which neurons respond to an attribute, or of how to ignore one.

An attribute is a column of the images' metadata. What differs when it does is measured on slices, which are
extracted once; what differs by chance, on the statistical blocks that every DNA has.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.neuron_weights import extractor_layers, require_name
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.steering import TOP_SHARE, ignore, respond, respond_by_squares
from dna_pipelines.distributions import Blocks, Layers
from dna_pipelines.errors import NothingToCompare, UnknownName, UserError
from dna_pipelines.project.image_set import resolve_image_set
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
"""A column with more is no attribute of few values, unless somebody names it."""

FEWEST_IMAGES = 16
"""Of a value; distances of fewer images are mostly chance."""


@dataclass(frozen=True)
class Asked:
    """What is to be learned, and from what. Exactly one of the first two is given.

    Attributes:
        respond_to: as COLUMN=VALUE; images with the value are told from those with another.
        ignore: columns.
        against: columns to respond to as little as possible, or to keep; all others of few values by default.
        within: a column; images are compared with others of the same value there alone, so that what goes
            together with an attribute is not taken for it.
        datasets: whose images are compared, each dataset by itself (versions and slices too).
        layers: that may get weight; all real neurons by default.
        method: of responding.
        share: of the neurons, for the method `ratio`.
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
    """Two sets of images that differ in something: (n_neurons,) distances in bins, NaN where not learned from."""

    what: str
    role: Literal["target", "other", "noise"]
    emd_bins: F64


@dataclass
class Learned:
    """A selection, and what its contrasts are with equal weights and with its own, in bins."""

    record: SelectionRecord
    contrasts: list[tuple[str, str, float, float]]
    n_images_extracted: int
    left_out: list[str]


def learn_selection(
    project: ProjectFolder, name: str, asked: Asked, *, extractor: str | None = None, progress: Progress | None = None
) -> Learned:
    """Learn weights from the metadata of datasets, and keep them as the next version of a selection.

    Raises:
        UserError: when what is asked for cannot be learned from these datasets; the message says why.
    """
    require_name(name)
    if bool(asked.respond_to) == bool(asked.ignore):
        raise UserError("say either what to respond to (--respond-to COLUMN=VALUE) or what to ignore (--ignore COLUMN)")
    if not asked.datasets:
        raise UserError("say which datasets to learn from (--datasets NAME)")
    extractor = project.extractor_name(extractor)
    layers = extractor_layers(project, extractor)
    measuring = _Measuring(project, extractor, Selection.of(layers, asked.layers).weights > 0, progress)
    for reference in asked.datasets:
        _contrasts(measuring, asked, Reference.parse(reference))
    weights = _weights(asked, measuring.contrasts, layers)
    equal = measuring.chosen.astype(np.float64)
    told: list[tuple[str, str, float, float]] = [
        (one.what, one.role, Selection(layers, equal).mean(one.emd_bins), Selection(layers, weights).mean(one.emd_bins))
        for one in measuring.contrasts
    ]
    how = {
        "made_by": "learning",
        **{key: value for key, value in vars(asked).items() if value},
        "versions": measuring.versions,
        "contrasts": [
            {"what": what, "role": role, "emd_bins_equal": before, "emd_bins_steered": after}
            for what, role, before, after in told
        ],
        "left_out": measuring.left_out,
    }
    key = used_extractor(project, extractor).comparability_key
    record = project.lake.selections.put(name, layers, weights, extractor=extractor, comparability_key=key, how=how)
    return Learned(record, told, measuring.n_images_extracted, measuring.left_out)


@dataclass
class _Measuring:
    """Measures slices, and collects contrasts and what was left out."""

    project: ProjectFolder
    extractor: str
    chosen: NDArray[np.bool_]
    progress: Progress | None
    contrasts: list[Contrast] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    n_images_extracted: int = 0

    def sums(self, reference: Reference) -> Sums:
        """The measures of a slice, which is extracted if it is new."""
        images = resolve_image_set(self.project, reference)
        record, extracted = fit_slice(self.project, images, self.extractor, self.progress)
        self.n_images_extracted += extracted or 0
        return self.project.lake.fingerprints.dna_sums(record.dna_id)

    def add(self, what: str, role: Literal["target", "other", "noise"], distances: F64) -> None:
        """One more contrast, of the neurons that may get weight."""
        self.contrasts.append(Contrast(what, role, np.where(self.chosen, distances, np.nan)))


def _contrasts(measuring: _Measuring, asked: Asked, reference: Reference) -> None:
    """Everything that one dataset tells."""
    project = measuring.project
    measuring.versions[str(reference)] = resolve_image_set(project, reference).id
    strata: list[tuple[Condition, ...]] = [()]
    if asked.within:
        values = _frequent(measuring, reference, asked.within, named=True)
        strata = [(Condition(asked.within, value),) for value in values]
    targets = {_condition(text).column for text in asked.respond_to} | set(asked.ignore)
    for stratum in strata:
        part = Reference(reference.dataset, reference.version, (*reference.where, *stratum))
        for text in asked.respond_to:
            _target(measuring, part, _condition(text))
        for column in asked.ignore:
            _one_against_rest(measuring, part, column, "target", named=True)
        columns = asked.against or sorted(_values(project, part).keys() - targets - {asked.within})
        for column in columns:
            _one_against_rest(measuring, part, column, "other", named=bool(asked.against))


def _target(measuring: _Measuring, part: Reference, condition: Condition) -> None:
    """The images with a value against those with another one, and what halves of both differ by chance."""
    having = measuring.sums(_where(part, condition))
    others = (Condition(condition.column, condition.value, equal=False), Condition(condition.column, None, equal=False))
    lacking = measuring.sums(_where(part, *others))
    sizes = [int(sums[2].n_images.sum()) for sums in (having, lacking)]
    if min(sizes) < FEWEST_IMAGES:
        raise NothingToCompare(
            f"{part}: {sizes[0]:,} images have {condition} and {sizes[1]:,} another value; it takes {FEWEST_IMAGES}"
        )
    what = f"{part}: {condition}"
    measuring.add(what, "target", emd_bins(having[0].counts, lacking[0].counts))
    for side, sums in (("with", having), ("without", lacking)):
        by_chance = _by_chance(sums[2], sums[0].counts.shape[1], sizes)
        if by_chance is not None:
            measuring.add(f"{what}, halves of those {side} it", "noise", by_chance)


def _one_against_rest(
    measuring: _Measuring, part: Reference, column: str, role: Literal["target", "other"], *, named: bool
) -> None:
    """Every value of a column against the others together, whose counts add up."""
    values = _frequent(measuring, part, column, named=named)
    if len(values) < 2:
        return
    counts = [measuring.sums(_where(part, Condition(column, value)))[0].counts for value in values]
    total = np.sum(counts, axis=0, dtype=np.uint64)
    # Of two values, the one against the other is the same contrast twice.
    for value, own in list(zip(values, counts, strict=True))[: 1 if len(values) == 2 else None]:
        measuring.add(f"{part}: {Condition(column, value)}", role, emd_bins(own, total - own))


def _frequent(measuring: _Measuring, part: Reference, column: str, *, named: bool) -> list[str]:
    """The values of a column that enough images have; none (and a remark) where it is no attribute of few values.

    Raises:
        UnknownName: when there is no such column.
        UserError: when the column was named, and is no such attribute.
    """
    columns = _values(measuring.project, part)
    if column not in columns:
        raise UnknownName(f"the images of {part} have no column '{column}'; they have: {', '.join(sorted(columns))}")
    counted = columns[column]
    frequent = sorted(value for value, n in counted.items() if n >= FEWEST_IMAGES)
    rare = sum(n for value, n in counted.items() if n < FEWEST_IMAGES)
    reason = ""
    if len(frequent) < 2:
        reason = f"fewer than two values have {FEWEST_IMAGES} images"
    elif len(frequent) > MOST_VALUES:
        reason = f"it has {len(frequent):,} values; more than {MOST_VALUES} are no attribute to learn from"
    if reason and named:
        raise UserError(f"nothing can be learned from '{column}' of {part}: {reason}")
    if reason:
        measuring.left_out.append(f"{part}: column '{column}': {reason}")
        return []
    if rare:
        measuring.left_out.append(
            f"{part}: column '{column}': {rare:,} images with values of fewer than {FEWEST_IMAGES}"
        )
    return frequent


def _by_chance(blocks: Blocks, n_bins: int, sizes: list[int]) -> F64 | None:
    """What random halves of a set differ by, brought to the sizes of the sets that are told apart.

    None if there are no halves, because all images are of one group.
    """
    even, odd = slice(0, None, 2), slice(1, None, 2)
    n_even, n_odd = int(blocks.n_images[even].sum()), int(blocks.n_images[odd].sum())
    if not n_even or not n_odd:
        return None
    coarse = emd_bins(blocks.counts[:, even].sum(axis=1), blocks.counts[:, odd].sum(axis=1))
    # By chance distances grow with √(1/n + 1/m). Coarse bins are so many fine ones wide.
    scale = np.sqrt((1 / sizes[0] + 1 / sizes[1]) / (1 / n_even + 1 / n_odd))
    return np.asarray(coarse * (n_bins / blocks.counts.shape[2]) * scale)


def _weights(asked: Asked, contrasts: list[Contrast], layers: Layers) -> F64:
    def rows(role: str) -> F64:
        return np.array([one.emd_bins for one in contrasts if one.role == role]).reshape(-1, layers.n_neurons)

    target, others, noise = rows("target"), rows("other"), rows("noise")
    try:
        if asked.ignore:
            if not len(others):
                raise NothingToCompare(
                    f"there is nothing to keep besides {', '.join(asked.ignore)}: the images need another column of "
                    "few values"
                )
            return ignore(target, others)
        if not len(noise):
            raise NothingToCompare("all images with a value are of one group, so what differs by chance is unknown")
        if asked.method == "ratio":
            return respond(target, others, noise, asked.share)
        return respond_by_squares(target, others, noise)
    except ValueError as error:
        raise NothingToCompare(f"nothing can be learned: {error}") from error


def _values(project: ProjectFolder, part: Reference) -> dict[str, Counter[str]]:
    """By column of the metadata, how many images of a dataset, version or slice have each value."""
    return metadata_values(resolve_image_set(project, part).rows)


def _condition(text: str) -> Condition:
    found = Reference.parse(f"x[{text}]").where
    if len(found) != 1 or not found[0].equal or found[0].value is None:
        raise UnknownName(f"{text!r} is no attribute with its value; write COLUMN=VALUE")
    return found[0]


def _where(part: Reference, *conditions: Condition) -> Reference:
    return Reference(part.dataset, part.version, (*part.where, *conditions))
