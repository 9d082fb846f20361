"""Exports of DNAs and activation ranges as files that other programs read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dna_pipelines.dna import ActivationRanges
from dna_pipelines.errors import UserError
from dna_pipelines.interchange import require_room, write_ranges, write_vdna
from dna_pipelines.interchange.vdna_facts import Type
from dna_pipelines.project.image_set import resolve_image_set
from dna_pipelines.project.progress import Progress
from dna_pipelines.project.project import ProjectFolder
from dna_pipelines.project.resolve import used_ranges
from dna_pipelines.update.dnas import find_dna, why_blocked


@dataclass(frozen=True)
class Exported:
    """The layers that were written of a DNA, and those that were not."""

    layers: list[str]
    left_out: list[str]
    """Layers that this type cannot hold."""
    n_images: int
    blocked: str | None = None
    """Why a check blocks this DNA, so that the matrix leaves it out; None if no check does."""


def export_dna(
    project: ProjectFolder,
    reference: str,
    path: Path,
    kind: Type,
    *,
    extractor: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the DNA of a dataset, version or slice as a VDNA: NAME.json and NAME.npz.

    Args:
        project: with the DNA.
        reference: as for `find_dna`.
        path: NAME.json.
        kind: histogram, gaussian or layer-gaussian.
        extractor: of the project; the first by default.
        force: overwrite existing files.
        progress: shows the extraction of a slice.

    Raises:
        InterchangeError: when the files cannot be written.
        NothingToCompare: when there is no such DNA, or it has no layer that this type can hold.
    """
    name = project.extractor_name(extractor)
    images = resolve_image_set(project, reference)
    dna = find_dna(project, images, name, progress)
    record = project.lake.fingerprints.dna_record(dna.id)
    n_images = record.n_images if record else 0
    written = write_vdna(path, dna, kind, n_images, force=force)
    left_out = [layer for layer in dna.layers.names if layer not in written]
    return Exported(written, left_out, n_images, why_blocked(project, images, name))


def export_ranges(project: ProjectFolder, extractor: str, path: Path, *, force: bool = False) -> ActivationRanges:
    """Write the activation ranges of an extractor as the reference reads them.

    Raises:
        InterchangeError: when the file cannot be written.
        NothingToCompare: when the extractor has no ranges yet.
        UserError: when the extractor is a view.
    """
    if project.extractor_config(extractor).view:
        raise UserError(
            f"{extractor} is a view: its ranges mean nothing without its projections, which this format does not hold; "
            "export those of its network",
            code="file.view-ranges",
            extractor=extractor,
        )
    ranges = used_ranges(project, extractor)
    require_room(path, force=force)
    write_ranges(path, ranges, extractor)
    return ranges
