"""Images from anywhere, held against datasets: read and measured in memory, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dna_pipelines.analysis.images.feature_table import FeatureTable, feature_table
from dna_pipelines.comparison import Selection, emd_bins
from dna_pipelines.comparison.scores import exceeded, log_ratio, mahalanobis, nearest, rarity
from dna_pipelines.config.models import kind_of_suffix
from dna_pipelines.dna import Dna
from dna_pipelines.errors import DnaError, SourceError, Unreadable, UserError
from dna_pipelines.identity import digest_of
from dna_pipelines.imaging import decode
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.sources import open_source

MOST_IMAGES = 2000
"""Their bytes are in memory together; more than that is a dataset, and `dna add` makes it one."""

_SAMPLE = 2000
"""Images of a dataset that single images are held against."""


@dataclass(frozen=True)
class Fit:
    """How one image fits one dataset. Scores are larger the less it fits.

    Attributes:
        path: of the image.
        dataset: a dataset, version or slice.
        seldom: the share of the dataset's images that lie at least as far from the others as this image does.
        nearest: distance to the 5th nearest image, in spreads of the dataset (root mean square over neurons).
        rarity: the share of neurons whose value lies where the dataset seldom goes.
        mahalanobis: squared, for each neuron; None where the dataset has no covariance.
        log_ratio: how much likelier it is in this dataset than in the others it is held against, in nats for each
            neuron (so larger is better); None where there are no others.
        emd_bins: of all its positions from the dataset's, over all layers.
    """

    path: str
    dataset: str
    seldom: float
    nearest: float
    rarity: float
    mahalanobis: float | None
    log_ratio: float | None
    emd_bins: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


def fit_outside(
    project: ProjectFolder,
    places: Sequence[str],
    against: Sequence[str],
    *,
    extractor: str | None = None,
    progress: Progress | None = None,
) -> tuple[list[Fit], dict[str, str]]:
    """How images fit datasets.

    Args:
        project: that has the datasets.
        places: image files, or whatever a dataset could be made of; relative ones are taken from where one is.
        against: datasets, versions or slices.
        extractor: one of the project's; its first by default.
        progress: shows the images.

    Returns:
        A line for every image and dataset, in order; and why images could not be read, by path.

    Raises:
        SourceError: when a place is not there.
        UserError: when there is no image that can be read, or there are too many.
        NothingToCompare: when a dataset has no DNA.
        Incomparable: when the extractor is no longer what the DNAs were made with.
    """
    name = project.extractor_name(extractor)
    images, problems = _read(places)
    if not images:
        said = "".join(f"\n  {path}: {problem}" for path, problem in problems.items())
        raise UserError(f"there is no image that can be read in {', '.join(places)}{said}")
    found = [feature_table(project, reference, name, progress) for reference in against]
    references = [(project.lake.fingerprints.dna(rows.record.dna_id), rows) for rows in found]
    fits = _measured(project, name, images, references, progress)
    return fits, problems


def _measured(
    project: ProjectFolder,
    name: str,
    images: dict[str, bytes],
    references: Sequence[tuple[Dna, FeatureTable]],
    progress: Progress | None,
) -> list[Fit]:
    # Only what extracts needs torch.
    from dna_pipelines.update.calibration import ready_as
    from dna_pipelines.update.remeasure import partials_of

    ready = ready_as(project, name, references[0][1].record.comparability_key)
    digests = {path: digest_of(data) for path, data in images.items()}
    data = {digests[path]: content for path, content in images.items()}
    pooled, moved = {}, {}
    selection = Selection.everything(references[0][0].layers)
    for (digest,), measured in partials_of(project, ready, [[one] for one in data], data, progress):
        pooled[digest] = measured.images.pooled
        moved[digest] = [selection.mean(emd_bins(measured.histogram.counts, dna.counts)) for dna, _ in references]
    paths = list(images)
    kept = sorted(references[0][1].features.pooled)
    rows = np.concatenate(
        [np.concatenate([pooled[digests[path]][layer] for layer in kept], axis=1) for path in paths]
    ).astype(np.float64)
    samples = [_sample(reference, kept) for _, reference in references]
    edges = ready.ranges.binning.lo, ready.ranges.binning.hi
    fits = []
    for place, (dna, reference) in enumerate(references):
        sample = samples[place]
        # An image that belongs to the dataset is no neighbour of itself.
        members = {reference.features.digests[number] for number in _sampled(reference)}
        inside = np.array([digests[path] in members for path in paths])
        far = np.where(inside, nearest(rows, sample, own=True), nearest(rows, sample))
        seldom = exceeded(far, nearest(sample, sample, own=True)) if len(sample) > 1 else np.full(len(rows), np.nan)
        rare = np.where(inside, rarity(rows, sample, own=True), rarity(rows, sample))
        others = [one for number, one in enumerate(samples) if number != place]
        ratios = [log_ratio(rows, sample, other) for other in others]
        against = _mahalanobis(rows, kept, dna, edges)
        for row, path in enumerate(paths):
            fits.append(
                Fit(
                    path,
                    reference.label,
                    float(seldom[row]),
                    float(far[row]),
                    float(rare[row]),
                    None if against is None else float(against[row]),
                    float(min(ratio[row] for ratio in ratios)) if ratios else None,
                    moved[digests[path]][place],
                )
            )
    order = {path: number for number, path in enumerate(paths)}
    return sorted(fits, key=lambda fit: order[fit.path])


def _mahalanobis(rows: Any, kept: list[str], dna: Dna, edges: tuple[Any, Any]) -> Any:
    """By the last layer that has both rows for each image and a covariance, in the covariance's units."""
    both = [layer for layer in kept if layer in dna.moments.covariances]
    if not both or dna.moments.covariances[both[-1]].n_images < 2:
        return None
    layer, start = both[-1], 0
    for name in kept[: kept.index(layer)]:
        start += dna.layers.slice_of(name).stop - dna.layers.slice_of(name).start
    part = dna.layers.slice_of(layer)
    lo, hi = (edge[part] for edge in edges)
    covariance = dna.moments.covariances[layer]
    mine = (rows[:, start : start + part.stop - part.start] + 1) * (hi - lo) / 2 + lo
    rounding = np.finfo(np.float16).eps * np.abs(covariance.mean - (hi + lo) / 2)
    return mahalanobis(mine, covariance.mean, covariance.covariance, covariance.n_images, rounding)


def _sample(reference: FeatureTable, kept: list[str]) -> Any:
    chosen = _sampled(reference)
    return np.concatenate([reference.features.pooled[layer][chosen] for layer in kept], axis=1).astype(np.float64)


def _sampled(reference: FeatureTable) -> Any:
    """The smallest digests: a uniform sample, and the same one every time."""
    return np.argsort(np.array(reference.features.digests))[:_SAMPLE]


def _read(places: Sequence[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The bytes of all images, by path, and why others cannot be read."""
    found: dict[str, bytes] = {}
    problems: dict[str, str] = {}
    for place in places:
        path = Path(place).expanduser()
        if path.is_file() and kind_of_suffix(path.name) == "folder":
            _add(found, problems, str(path), path.read_bytes)
            continue
        source = open_source(place, base=Path.cwd())
        for entry in source.list().entries:
            label = f"{place}/{entry.path.decode('utf-8', 'backslashreplace')}"
            if entry.problem:
                problems[label] = entry.problem
            else:
                _add(found, problems, label, partial(source.read, entry.path))
    return found, problems


def _add(found: dict[str, bytes], problems: dict[str, str], label: str, read: Any) -> None:
    if len(found) >= MOST_IMAGES:
        raise UserError(f"there are more than {MOST_IMAGES:,} images; make a dataset of them with `dna add`")
    try:
        data = read()
        decode(data)
        found[label] = data
    except SourceError:
        raise
    except (OSError, Unreadable, DnaError) as error:
        problems[label] = str(error)
