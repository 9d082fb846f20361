"""A project from Python: everything the command line does, with results that compute on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dna_pipelines.api.arguments import path as path_of
from dna_pipelines.api.arguments import wrong_type
from dna_pipelines.api.project.comparisons import ComparisonMethods
from dna_pipelines.api.project.datasets import DatasetMethods
from dna_pipelines.api.project.extractors import ExtractorMethods
from dna_pipelines.api.project.inspection import InspectionMethods
from dna_pipelines.api.project.maintenance import MaintenanceMethods
from dna_pipelines.errors import ConfigError
from dna_pipelines.project.project import DATASETS_FILE, ProjectFolder


def open_project(path: str | os.PathLike[str] | None = None) -> Project:
    """Open a project: a folder with `data/datasets.yaml`.

    Args:
        path: the folder; by default the one that the environment variable DNA_ROOT names, else the nearest folder
            above the working directory that has such a file.

    Raises:
        ConfigError: when there is no project (`api.no-project`).

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = create_project(folder)
        >>> open_project(folder).list().names
        ()
    """
    folder = ProjectFolder.find(None if path is None else path_of("path", path))
    if not folder.file.path.exists():
        raise ConfigError(
            f"{folder.root} is not a project: it has no {DATASETS_FILE}; create_project makes one",
            code="api.no-project",
            path=str(folder.root),
        )
    return Project(folder)


def find_project(path: str | os.PathLike[str] | None = None) -> Project:
    """The project that `open_project` opens, whether or not it has a datasets file yet."""
    return Project(ProjectFolder.find(None if path is None else Path(path)))


def create_project(
    path: str | os.PathLike[str], *, extractors: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = ()
) -> Project:
    """Make a folder a project, and open it. A folder that is a project already is opened as it is.

    Args:
        path: the folder, which is made if it is missing.
        extractors: the networks that measure its fingerprints: names that `dna extractors` lists, or entries as in the
            datasets file, such as `{"name": "clip", "network": "hf:openai/clip-vit-base-patch32"}`. By default
            `builtin`.

    Raises:
        ConfigError: when the folder cannot be made (`api.file`), an extractor is wrong (`api.extractor`, `config.…`),
            or the project exists with others (`api.other-extractors`).

    Examples:
        >>> import tempfile
        >>> project = create_project(tempfile.mkdtemp(), extractors=["scattering"])
        >>> [extractor.name for extractor in project.folder.config().extractors]
        ['scattering']
    """
    root = path_of("path", path).expanduser()
    given = [extractors] if isinstance(extractors, str | Mapping) else extractors
    if not isinstance(given, Sequence):
        raise wrong_type("extractors", extractors, "names, mappings of settings, or a list of them")
    entries = [_entry(extractor) for extractor in given]
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{root} cannot be made a project: {error.strerror}",
            code="api.file",
            path=str(root),
            reason=str(error.strerror),
        ) from error
    folder = ProjectFolder(root)
    if not folder.file.create(entries) and entries and not folder.file.has_extractors(entries):
        known = [extractor.name for extractor in folder.config().extractors]
        raise ConfigError(
            f"{root} is a project already, with other extractors: {', '.join(known)}; edit {folder.file.path}, "
            "or open the project without `extractors`",
            code="api.other-extractors",
            path=str(root),
            extractors=known,
        )
    return Project(folder)


def _entry(extractor: object) -> dict[str, Any]:
    """An extractor as the datasets file has it."""
    if isinstance(extractor, str):
        return {"name": extractor}
    if isinstance(extractor, Mapping):
        return {key: os.fspath(value) if isinstance(value, Path) else value for key, value in extractor.items()}
    raise ConfigError(
        f"an extractor of a project is a name or a mapping of settings, not {type(extractor).__name__}; for a network "
        'of your own: {"name": …, "network": "MODULE:FUNCTION"}',
        code="api.extractor",
        type=type(extractor).__name__,
    )


class Project(DatasetMethods, ComparisonMethods, InspectionMethods, ExtractorMethods, MaintenanceMethods):
    """A folder of watched datasets and their fingerprints.

    `open_project` and `create_project` give one. Where a method takes the name of a dataset, it also takes an earlier
    version of it (`"cameras@-1"`, `"cameras@3"`) or a slice (`"cameras[weather=rain]"`).

    Methods that may take long have `progress`: False (the default) is silent; True shows bars in terminals and
    notebooks, and lines at the start, every minute and at the end where there is neither. Ctrl-C raises
    KeyboardInterrupt at the next point where nothing is lost; what was finished is kept, and the next call goes on from
    there.

    Attributes:
        folder: the paths and stores behind it, for callers that need more than these methods.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> project = create_project(tempfile.mkdtemp())
        >>> draw = np.random.default_rng(0)
        >>> dark, light = (draw.integers(low, low + 128, (48, 32, 32, 3), np.uint8) for low in (0, 128))
        >>> project.add("dark", dark).n_files, project.add("light", light).n_files
        (48, 48)
        >>> project.update().n_images_extracted
        96
        >>> comparison = project.compare("dark", "light")
        >>> comparison.emd > 10, comparison.test().significant
        (True, True)
        >>> project.sql("SELECT dataset, n_images FROM datasets ORDER BY ALL").rows
        (('dark', 48), ('light', 48))
    """

    def __init__(self, folder: ProjectFolder) -> None:
        self.folder = folder

    @property
    def root(self) -> Path:
        """The folder."""
        return self.folder.root

    def __repr__(self) -> str:
        """The folder."""
        return f"Project({str(self.root)!r})"
