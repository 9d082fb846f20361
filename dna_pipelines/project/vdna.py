"""Files of other programs in a project: DNAs to compare with, and activation ranges."""

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
        ranges: the file of the activation ranges of DNAs whose files do not state them.
    """
    dnas = {reference: read_vdna(Path(reference)) for reference in references if is_vdna_path(reference)}
    if ranges and dnas:
        named = read_ranges(ranges)
        dnas = {reference: with_ranges(dna, named) for reference, dna in dnas.items()}
    return dnas


def extractor_of(
    project: ProjectFolder, files: Mapping[str, ImportedDna], references: Sequence[str], asked: str | None
) -> str:
    """The extractor of a comparison: `asked`, else that of a file, else the first of the project.

    Raises:
        UnknownName: when only files are compared, and they are of another extractor than `asked`.
    """
    of_files = [dna.extractor for dna in files.values()]
    here = _networks(project)
    if files.keys() >= set(references):
        if asked and here.get(asked, asked) not in of_files:
            raise UnknownName(
                f"{references[0]} is of the extractor {of_files[0]}, not of {asked}; "
                "leave extractor= (--extractor) out",
                code="name.other-extractor",
                file=references[0],
                extractor=of_files[0],
                asked=asked,
            )
        return asked or of_files[0]
    if asked:
        return asked
    return next((name for name, network in here.items() if network in of_files), project.extractor_name(None))


def _networks(project: ProjectFolder) -> dict[str, str]:
    """By extractor of the datasets file, if there is one, the name of its network, which is the name in files."""
    store, networks = project.lake.fingerprints, {}
    for entry in project.config().extractors if project.file.path.exists() else ():
        record = store.extractor(entry.name)
        networks[entry.name] = str(store.key(record.comparability_key).parts["extractor"]) if record else entry.loads
    return networks


def imported_ranges(project: ProjectFolder, file: str, extractor: str, layers: Layers) -> ActivationRanges:
    """The ranges of an extractor from a file; a relative path is taken from the project's folder.

    Raises:
        InterchangeError: when the file is missing, or is not a file of activation ranges.
        Incomparable: when the layers of file and extractor differ; `differences` lists them.
    """
    return read_ranges(project.root / os.path.expanduser(file)).ranges(layers, extractor)


def require_configured(
    project: ProjectFolder, config: ExtractorConfig, ranges: ActivationRanges, asked: str | None = None
) -> None:
    """Refuse ranges that differ from those of the file that the datasets file names.

    Args:
        project: with the extractor.
        config: the extractor.
        ranges: its ranges.
        asked: the file that they are being imported from; None where the extractor has them already.

    Raises:
        ConfigError: when ranges are being imported from another file.
        CheckFailed: when the extractor has other ranges. Its message says how to make them agree.
    """
    if config.ranges is None:
        return
    named = imported_ranges(project, config.ranges, config.name, ranges.layers)
    if named.id != ranges.id and asked:
        raise ConfigError(
            f"{project.file.path} takes the ranges of {config.name} from {config.ranges}, and {asked} has others: name "
            f"{asked} there, or remove `ranges`, and import them again",
            code="config.other-ranges",
            extractor=config.name,
            configured=config.ranges,
            asked=asked,
        )
    if named.id != ranges.id:
        raise CheckFailed(
            f"{project.file.path} takes the ranges of {config.name} from {config.ranges}, but the extractor has "
            f"others, which no run replaces: run `dna ranges import {config.name} {config.ranges}` to replace them "
            "(all its DNAs are then recomputed), or remove `ranges` from the datasets file to keep them",
            code="check.other-ranges",
            extractor=config.name,
            configured=config.ranges,
        )
