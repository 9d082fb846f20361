"""What files of other programs say: DNAs to compare with, and activation ranges."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dna_pipelines.config import ExtractorConfig
from dna_pipelines.distributions import Layers
from dna_pipelines.dna import ActivationRanges, ImportedDna
from dna_pipelines.errors import CheckFailed, ConfigError, UnknownName
from dna_pipelines.interchange import is_vdna_path, read_ranges, read_vdna, with_ranges
from dna_pipelines.project.project import ProjectFolder


def read_files(references: Sequence[str], ranges: Path | None = None) -> dict[str, ImportedDna]:
    """The DNAs of those references that are VDNA files.

    Args:
        references: of datasets, or paths.
        ranges: what files that do not say it were binned with.
    """
    found = {reference: read_vdna(Path(reference)) for reference in references if is_vdna_path(reference)}
    if ranges and found:
        named = read_ranges(ranges)
        found = {reference: with_ranges(dna, named) for reference, dna in found.items()}
    return found


def extractor_of(
    project: ProjectFolder, files: Mapping[str, ImportedDna], references: Sequence[str], asked: str | None
) -> str:
    """The extractor that references are compared in: the one asked for, else a file's, else the project's first.

    Raises:
        UnknownName: when only files are compared, and they are of another than the one asked for.
    """
    of_files = [dna.extractor for dna in files.values()]
    here = _networks(project)
    if files.keys() >= set(references):
        if asked and here.get(asked, asked) not in of_files:
            raise UnknownName(f"{references[0]} was made with {of_files[0]}, not with {asked}")
        return asked or of_files[0]
    if asked:
        return asked
    return next((name for name, network in here.items() if network in of_files), project.extractor_name(None))


def _networks(project: ProjectFolder) -> dict[str, str]:
    """By extractor of the datasets file, if there is one: what its network is called, which is what files say."""
    store, found = project.lake.fingerprints, {}
    for entry in project.config().extractors if project.file.path.exists() else ():
        record = store.extractor(entry.name)
        found[entry.name] = str(store.key(record.comparability_key).parts["extractor"]) if record else entry.loads
    return found


def imported_ranges(project: ProjectFolder, file: str, extractor: str, layers: Layers) -> ActivationRanges:
    """The ranges of an extractor from a file; a relative path is taken from the project's folder.

    Raises:
        InterchangeError: when there is no such file, or it is not what it should be.
        Incomparable: listing every layer on which the file and the extractor do not agree.
    """
    return read_ranges(project.root / os.path.expanduser(file)).ranges(layers, extractor)


def require_configured(
    project: ProjectFolder, config: ExtractorConfig, ranges: ActivationRanges, asked: str | None = None
) -> None:
    """Refuse ranges other than those of the file that the datasets file names.

    Args:
        project: where the extractor is used.
        config: the extractor.
        ranges: its ranges.
        asked: the file that somebody takes them from now; None where they are the extractor's already.

    Raises:
        CheckFailed: saying how to make them agree. It is the files that disagree, so it is no ConfigError.
    """
    if config.ranges is None:
        return
    named = imported_ranges(project, config.ranges, config.name, ranges.layers)
    if named.id != ranges.id and asked:
        raise ConfigError(
            f"{project.file.path} takes the ranges of {config.name} from {config.ranges}, but these are others: name "
            f"{asked} there, or remove `ranges`, and import them again"
        )
    if named.id != ranges.id:
        raise CheckFailed(
            f"{project.file.path} takes the ranges of {config.name} from {config.ranges}, but these are others, "
            f"and ranges stay as they are until asked: `dna ranges import {config.name} {config.ranges}` replaces them "
            "(all its DNAs are then computed again); removing `ranges` from the datasets file keeps them"
        )
