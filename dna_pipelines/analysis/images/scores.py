"""Scores of images from anywhere: how well they fit datasets. They are measured in memory, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dna_pipelines.analysis.images.aliases import with_aliases
from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.scores import exceeded, log_ratio, mahalanobis, nearest, rarity
from dna_pipelines.config.dataset import kind_of_suffix
from dna_pipelines.dna import ActivationRanges, Dna
from dna_pipelines.errors import DnaError, SourceError, UserError
from dna_pipelines.imaging import BY_RULES, Encoded, Reading, decode_with_info, encoded
from dna_pipelines.manifests.manifest import digest_of_image
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources import open_source

if TYPE_CHECKING:  # it needs torch
    from dna_pipelines.update.calibration import Calibrated

F64 = NDArray[np.float64]

MOST_IMAGES = 2000
"""The number of images at most, because their bytes are in memory together. More images are a dataset for `dna add`."""

_SAMPLE = 2000
"""The number of images of a dataset that images are compared with."""


@dataclass(frozen=True)
class Fit:
    """How well an image fits a dataset. Scores are larger for images that fit worse, unless stated otherwise.

    Attributes:
        path: of the image.
        dataset: a dataset, version or slice.
        conformal_p: the share of the dataset's images that lie at least as far from the others as this image; it is
            smaller for images that fit worse.
        nearest: the distance to the 5th nearest image, in spreads of the dataset (root mean square over neurons).
        rarity: the share of neurons with a value that is rare in the dataset.
        mahalanobis: the squared distance per neuron; None if the dataset has no covariance.
        log_ratio: the log likelihood ratio of this dataset to the best of the others, in nats per neuron; it is
            larger for images that fit better, and None without others.
        emd_bins: the EMD of all positions of the image from those of the dataset, over all layers.
    """

    path: str
    dataset: str
    conformal_p: float
    nearest: float
    rarity: float
    mahalanobis: float | None
    log_ratio: float | None
    emd_bins: float

    def facts(self) -> dict[str, Any]:
        """The scores, by name."""
        return asdict(self)

    def to_json(self) -> dict[str, Any]:
        """As a JSON value, with the former names of keys."""
        return with_aliases(self.facts())


@dataclass(frozen=True, eq=False)
class _Measured:
    """Images from anywhere, measured.

    Attributes:
        paths, digests: (n_images,) of each image.
        layers: the names of the layers that features are of.
        features: (n_images, n_neurons) in units of the activation ranges.
        emd_bins: the distance of each digest from each dataset.
    """

    paths: list[str]
    digests: list[str]
    layers: list[str]
    features: F64
    emd_bins: dict[str, list[float]]


@dataclass(frozen=True, eq=False)
class _Reference:
    """A dataset that images are scored against.

    Attributes:
        dna: its DNA.
        table: its images.
        digests: of the images in the sample.
        sample: (n_sampled, n_neurons) features of a sample of its images.
    """

    dna: Dna
    table: FeatureTable
    digests: frozenset[str]
    sample: F64

    @staticmethod
    def of(dna: Dna, table: FeatureTable, layers: Sequence[str]) -> _Reference:
        # The smallest digests are a uniform sample, and the same one every time.
        indices = np.argsort(np.array(table.features.digests))[:_SAMPLE]
        sample = np.concatenate([table.features.pooled[layer][indices] for layer in layers], axis=1)
        digests = frozenset(table.features.digests[index] for index in indices)
        return _Reference(dna, table, digests, sample.astype(np.float64))


def score_images(
    project: ProjectFolder,
    locations: Sequence[str],
    against: Sequence[str],
    *,
    extractor: str | None = None,
    progress: Progress | None = None,
) -> tuple[list[Fit], dict[str, str]]:
    """How well images from anywhere fit datasets.

    Args:
        project: the project that has the datasets.
        locations: image files, or any locations that a dataset could have; relative ones are relative to the working
            directory.
        against: datasets, versions or slices.
        extractor: one of the project's; its first by default.
        progress: shows the images.

    Returns:
        The fit of every image to every dataset, in order; and by path, why images cannot be read.

    Raises:
        SourceError: when a location does not exist.
        UserError: when no image can be read (`images.none-readable`), there are too many (`images.too-many`), or the
            datasets are read in different ways (`images.other-readings`).
        NothingToCompare: when a dataset has no DNA.
        Incomparable: when the extractor is no longer the one that the DNAs were made with.
    """
    name = project.extractor_name(extractor)
    tables = [feature_table(project, reference, name, progress) for reference in against]
    images, problems = _read(locations, _common_reading(tables))
    if not images:
        reasons = "".join(f"\n  {path}: {problem}" for path, problem in problems.items())
        raise UserError(
            f"no image can be read at {', '.join(locations)}; check the locations{reasons}",
            code="images.none-readable",
            locations=list(locations),
            problems=problems,
        )
    # Only what extracts needs torch.
    from dna_pipelines.update.calibration import ready_as

    layers = sorted(tables[0].features.pooled)
    references = [_Reference.of(project.lake.fingerprints.dna(table.record.dna_id), table, layers) for table in tables]
    ready = ready_as(project, name, tables[0].record.comparability_key)
    measured = _measure(project, ready, images, references, layers, progress)
    by_reference = [_fits(measured, references, index, ready.ranges) for index in range(len(references))]
    return [fit for of_image in zip(*by_reference, strict=True) for fit in of_image], problems


def _measure(
    project: ProjectFolder,
    ready: Calibrated,
    images: dict[str, Encoded],
    references: Sequence[_Reference],
    layers: list[str],
    progress: Progress | None,
) -> _Measured:
    from dna_pipelines.update.remeasure import partials_of

    digests = [digest_of_image(image) for image in images.values()]
    data = dict(zip(digests, images.values(), strict=True))
    features, distances = {}, {}
    selection = Selection.everything(references[0].dna.layers)
    for (digest,), measured in partials_of(project, ready, [[digest] for digest in data], data, progress):
        features[digest] = np.concatenate([measured.images.pooled[layer] for layer in layers], axis=1)
        distances[digest] = [
            selection.mean(emd_bins(measured.histogram.counts, reference.dna.counts)) for reference in references
        ]
    rows = np.concatenate([features[digest] for digest in digests]).astype(np.float64)
    return _Measured(list(images), digests, layers, rows, distances)


def _fits(measured: _Measured, references: Sequence[_Reference], index: int, ranges: ActivationRanges) -> list[Fit]:
    """The fit of every image to one of the datasets."""
    reference, rows = references[index], measured.features
    sample = reference.sample
    # An image that belongs to the dataset does not count as its own neighbour.
    member = np.array([digest in reference.digests for digest in measured.digests])
    distances = np.where(member, nearest(rows, sample, own=True), nearest(rows, sample))
    p_values = np.full(len(rows), np.nan)
    if len(sample) > 1:
        p_values = exceeded(distances, nearest(sample, sample, own=True))
    rarities = np.where(member, rarity(rows, sample, own=True), rarity(rows, sample))
    others = [other.sample for number, other in enumerate(references) if number != index]
    ratios = np.min([log_ratio(rows, sample, other) for other in others], axis=0) if others else None
    mahalanobis_distances = _mahalanobis(measured, reference.dna, ranges)
    return [
        Fit(
            path,
            reference.table.label,
            float(p_values[row]),
            float(distances[row]),
            float(rarities[row]),
            None if mahalanobis_distances is None else float(mahalanobis_distances[row]),
            None if ratios is None else float(ratios[row]),
            measured.emd_bins[digest][index],
        )
        for row, (path, digest) in enumerate(zip(measured.paths, measured.digests, strict=True))
    ]


def _mahalanobis(measured: _Measured, dna: Dna, ranges: ActivationRanges) -> F64 | None:
    """In the last layer with features and a covariance, in the covariance's units; None without such a layer."""
    layers = [layer for layer in measured.layers if layer in dna.moments.covariances]
    if not layers or dna.moments.covariances[layers[-1]].n_images < 2:
        return None
    layer, start = layers[-1], 0
    for name in measured.layers[: measured.layers.index(layer)]:
        start += dna.layers.slice_of(name).stop - dna.layers.slice_of(name).start
    neurons = dna.layers.slice_of(layer)
    lo, hi = ranges.binning.lo[neurons], ranges.binning.hi[neurons]
    covariance = dna.moments.covariances[layer]
    features = (measured.features[:, start : start + neurons.stop - neurons.start] + 1) * (hi - lo) / 2 + lo
    rounding = float(np.finfo(np.float16).eps) * np.abs(covariance.mean - (hi + lo) / 2)
    return mahalanobis(features, covariance.mean, covariance.covariance, covariance.n_images, rounding)


def _common_reading(tables: Sequence[FeatureTable]) -> Reading:
    """How the images of all datasets are read; the images that are scored must be read in the same way."""
    readings = {replace(table.rows[0].read_as, page=1, rules=1): table.label for table in tables if table.rows}
    if len(readings) > 1:
        raise UserError(
            f"{' and '.join(readings.values())} are read in different ways (pixels, value_range, bands); score images "
            "against one of them at a time",
            code="images.other-readings",
            datasets=list(readings.values()),
        )
    return next(iter(readings), BY_RULES)


def _read(locations: Sequence[str], reading: Reading) -> tuple[dict[str, Encoded], dict[str, str]]:
    """By path, the images that can be read, and why others cannot."""
    images: dict[str, Encoded] = {}
    problems: dict[str, str] = {}

    def add(label: str, read: Callable[[], bytes]) -> None:
        if len(images) >= MOST_IMAGES:
            raise UserError(
                f"there are more than {MOST_IMAGES:,} images; add them as a dataset with project.add() or `dna add`",
                code="images.too-many",
                most=MOST_IMAGES,
            )
        try:
            data = read()
            _, info = decode_with_info(encoded(data, reading))
            images[label] = encoded(data, replace(reading, rules=info.rules))
        except SourceError:
            raise
        except (OSError, DnaError) as error:
            problems[label] = str(error)

    for location in locations:
        path = Path(location).expanduser()
        if path.is_file() and kind_of_suffix(path.name) == "folder":
            add(str(path), path.read_bytes)
            continue
        source = open_source(location, base=Path.cwd())
        for entry in source.list().entries:
            label = f"{location}/{entry.path.decode('utf-8', 'backslashreplace')}"
            if entry.problem:
                problems[label] = entry.problem
            else:
                add(label, partial(source.read, entry.path))
    return images, problems
